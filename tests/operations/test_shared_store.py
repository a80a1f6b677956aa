"""Looking after a bucket that machines share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.core.management import call_command
from django.utils import timezone

from accounts.models import DataArchive, User
from finetune.core import storage, store, store_care
from finetune.operations.checks import orphans, shared_store
from finetune.operations.services.export_data import make_archive
from finetune.operations.services.measure_storage import measure_storage
from finetune.operations.services.prune_files import prune_files
from finetune.operations.services.share_files import share_files
from tests import bucket
from tests.factories import make_dataset, make_job, make_version

On = Callable[[str], Path]


def levels() -> list[str]:
    return [finding.level for finding in shared_store.examine()]


def test_the_doctor_tries_it_and_compares(on: On, alice: User, bucket_environment, objects) -> None:
    dataset = make_dataset(alice)
    assert list(share_files()) == [dataset.directory / "rows.parquet"]
    assert levels() == ["ok"] and len(objects()) == 1  # its probe is gone

    on("web")  # which has nothing on its disk, and the doctor does not fetch it all
    assert [finding.level for finding in orphans.examine()] == ["ok"]
    assert not (dataset.directory / "rows.parquet").exists()

    on("a")
    bucket.client(bucket_environment).delete_object(Bucket=bucket.NAME, Key=objects()[0])
    assert levels() == ["ok", "bad"]
    assert list(share_files()) == [dataset.directory / "rows.parquet"]
    assert levels() == ["ok"] and list(share_files()) == []


def test_the_doctor_says_what_to_do_about_a_bucket_that_refuses(on: On, bucket_environment, monkeypatch, settings) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    settings.STORAGES = {**settings.STORAGES}
    (finding,) = shared_store.examine()
    assert finding.level == "bad" and "STORAGE_URL" in finding.remedy
    assert bucket.KEYS["AWS_SECRET_ACCESS_KEY"] not in finding.text


def test_without_one_there_is_nothing_to_say(db) -> None:
    assert levels() == []


def test_pruning_takes_checkpoints_from_the_bucket_and_from_every_machine(on: On, alice: User, settings, objects) -> None:
    settings.RETAIN_CHECKPOINT_DAYS = 30
    job = make_job(alice, status="succeeded", finished_at=timezone.now() - timedelta(days=40), attempt=1)
    data = on("a")
    folder = data / "runs" / str(job.pk) / "1" / "checkpoints" / "checkpoint-8"
    folder.mkdir(parents=True)
    (folder / "seal.json").write_text("{}")
    store.publish(folder)
    on("general")  # where beat's task happens to run: nothing of the job is on its disk
    assert [(found.path.name, found.bytes) for found in prune_files(dry_run=True)] == [("checkpoints", 2)]
    assert len(prune_files()) == 1 and objects() == []
    on("a")
    assert store_care.tidy() == 1 and not folder.exists()


def test_an_archive_that_expired_goes_from_the_bucket_whoever_made_it(on: On, alice: User, objects) -> None:
    on("a")
    archive = DataArchive.objects.create(owner=alice, status="ready", expires_at=timezone.now() + timedelta(days=1))
    archive.file.parent.mkdir()
    archive.file.write_text("everything")
    store.publish(archive.file)
    on("general")
    assert list(prune_files()) == [] and len(objects()) == 1
    DataArchive.objects.update(expires_at=timezone.now())
    assert [found.rule for found in prune_files()] == ["archives"] and objects() == []
    on("a")
    assert store_care.tidy() == 1 and not archive.file.exists()


def test_an_archive_that_the_bucket_did_not_take_leaves_nothing(on: On, alice: User, monkeypatch, settings) -> None:
    on("a")
    archive = DataArchive.objects.create(owner=alice)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    settings.STORAGES = {**settings.STORAGES}
    make_archive(archive.pk)
    archive.refresh_from_db()
    assert archive.status == "failed" and list(archive.file.parent.iterdir()) == []


def test_quotas_count_what_other_machines_have(on: On, alice: User) -> None:
    version = make_version(alice)
    folder = on("a") / "models" / str(version.pk)
    folder.mkdir(parents=True)
    (folder / "weights").write_text("x" * 1000)
    store.publish(folder)
    on("web")
    assert measure_storage(user=alice)[alice.pk]["models"] == 1000
    storage.remove_tree(storage.model_dir(version.pk))
    assert measure_storage(user=alice)[alice.pk]["models"] == 0


def test_the_command_names_what_it_did(on: On, alice: User, capsys) -> None:
    dataset = make_dataset(alice)
    call_command("share_files")
    assert capsys.readouterr().out.splitlines()[0] == f"datasets/{dataset.pk}/rows.parquet"
