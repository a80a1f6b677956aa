"""Two machines, each with a DATA_DIR of its own, and one bucket: whole and right, or not there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from finetune import env
from finetune.core import bucket as door
from finetune.core import storage, store, store_care
from finetune.core.errors import Unavailable
from finetune.core.models import StoredTree
from tests import bucket


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def tear(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """From now on the bucket does not take a file whose name ends so."""

    def put(name, content, put=door.put):
        if name.endswith(end):
            raise Unavailable("The shared store does not answer.")
        put(name, content)

    monkeypatch.setattr(door, "put", put)


def test_a_directory_travels_whole_and_a_newer_state_replaces_it(on, objects):
    model = write(on("a") / "models" / "5", weights="one", config="{}")
    write(model / "deeper", more="x")
    store.publish(model)

    there = store.here(on("b") / "models" / "5")
    assert contents(there) == {"weights": "one", "config": "{}", "deeper/more": "x"}

    model = write(on("a") / "models" / "5", weights="two")
    store.publish(model)
    assert len(objects()) == 3  # the old weights are gone, what stayed the same was not sent again
    assert contents(store.here(on("b") / "models" / "5"))["weights"] == "two"


def test_a_file_travels_and_is_fetched_once(on, monkeypatch):
    rows = write(on("a") / "datasets" / "1", rows="1 2 3") / "rows"
    store.publish(rows)
    asked = []
    monkeypatch.setattr(door, "get", lambda name, target, get=door.get: (asked.append(name), get(name, target)))

    here = on("b") / "datasets" / "1" / "rows"
    assert store.here(here).read_text() == store.here(here).read_text() == "1 2 3"
    assert len(asked) == 1
    assert [path.name for path in here.parent.iterdir()] == ["rows"]  # no debris


def test_whether_a_tree_has_files_is_told_without_bringing_it(on):
    store.publish(write(on("a") / "models" / "5", weights="one", config="{}"))
    there = on("b") / "models" / "5"
    assert store.has(there, "weights", "config") and not store.has(there, "weights", "card") and not there.exists()
    (store.here(there) / "weights").unlink()
    assert store.has(there, "config") and not store.has(there, "weights"), "what was lost here is not brought again"


def test_one_small_file_is_read_without_its_tree(on):
    store.publish(write(on("a") / "models" / "6", weights="one", config="{}"))
    there = on("b") / "models" / "6"
    assert [store.read_text(there, "config") for _ in range(2)] == ["{}", "{}"] and not there.exists()
    with pytest.raises(FileNotFoundError):
        store.read_text(there, "card")
    store.publish(write(on("a") / "models" / "6", config='{"newer": 1}'))
    on("b")
    assert store.read_text(there, "config") == '{"newer": 1}'


def test_without_a_bucket_nothing_happens(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    path = tmp_path / "models" / "1"
    store.publish(path)  # neither asked nor written, not even the database: this test has none
    assert store.here(path) == path and store.published(path) == {}
    store.forget(path)
    assert store_care.sweep() == store_care.tidy() == 0 and not list(tmp_path.iterdir())


def test_a_torn_upload_is_never_used(on, objects, monkeypatch):
    folder = write(on("a") / "runs" / "7" / "1" / "checkpoints" / "checkpoint-8", a="1", b="2")

    tear(monkeypatch, "/b")
    with pytest.raises(Unavailable):
        store.publish(folder)
    assert not StoredTree.objects.exists() and objects() == []
    assert not store.here(on("b") / "runs" / "7" / "1" / "checkpoints" / "checkpoint-8").exists()


def test_what_was_published_stays_when_publishing_anew_fails(on, monkeypatch):
    model = write(on("a") / "models" / "5", weights="one")
    store.publish(model)
    write(model, weights="two", zeta="3")

    tear(monkeypatch, "/zeta")
    with pytest.raises(Unavailable):
        store.publish(model)
    assert contents(store.here(on("b") / "models" / "5")) == {"weights": "one"}


def test_damage_is_noticed_and_what_is_here_stays(on, bucket_environment, objects):
    rows = write(on("a") / "datasets" / "1", rows="right") / "rows"
    store.publish(rows)
    (name,) = objects()
    bucket.client(bucket_environment).put_object(Bucket=bucket.NAME, Key=name, Body=b"wrong")

    old = write(on("b") / "datasets" / "1", rows="older") / "rows"
    with pytest.raises(Unavailable, match="damaged"):
        store.here(old)
    assert old.read_text() == "older" and [path.name for path in old.parent.iterdir()] == ["rows"]


def test_an_object_that_is_gone_is_said(on, bucket_environment, objects):
    store.publish(write(on("a") / "models" / "5", weights="one"))
    bucket.client(bucket_environment).delete_object(Bucket=bucket.NAME, Key=objects()[0])
    with pytest.raises(Unavailable, match="missing"):
        store.here(on("b") / "models" / "5")


def test_the_same_bytes_are_not_fetched_again(on, monkeypatch):
    """A machine that had its files before there was a bucket, or made the same ones."""
    store.publish(write(on("a") / "models" / "5", weights="one"))
    monkeypatch.setattr(door, "get", lambda *_: pytest.fail("fetched"))
    store.here(write(on("b") / "models" / "5", weights="one"))


def test_deleting_removes_objects_and_other_machines_copies(on, objects):
    for place in ("runs/7/1/checkpoints/checkpoint-8", "runs/7/2/checkpoints/checkpoint-16", "runs/77/1/checkpoints/checkpoint-8"):
        store.publish(write(on("a") / place, weights=place))
    copy = store.here(on("b") / "runs" / "7" / "1" / "checkpoints" / "checkpoint-8")
    mine = write(on("b") / "runs" / "77" / "1", log="mine")

    on("a")
    storage.remove_tree(storage.job_dir(7))
    assert [name.split("/")[2] for name in objects()] == ["77"]
    assert not storage.job_dir(7).exists()

    on("b")
    assert write(storage.attempt_dir(7, 2), log="never published").exists()
    assert store_care.tidy() == 2 and not copy.exists() and not storage.job_dir(7).exists()
    assert contents(mine)["log"] == "mine" and store_care.tidy() == 0


def test_a_database_that_was_put_back_costs_nobody_their_files(on):
    model = write(on("a") / "models" / "5", weights="one")
    store.publish(model)
    StoredTree.objects.all().delete()
    assert store_care.tidy() == 0 and contents(model) == {"weights": "one"}


def test_objects_of_no_row_are_swept_after_a_day(on, objects, monkeypatch):
    store.publish(write(on("a") / "models" / "5", weights="one"))
    store.publish(write(on("a") / "models" / "6", weights="two"))
    StoredTree.objects.filter(key="models/6").delete()
    assert store_care.sweep() == 0
    later = timezone.now() + timedelta(days=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert store_care.sweep() == 1 and len(objects()) == 1


def test_a_growing_file_is_never_replaced_by_less_of_it(on):
    log = write(on("a") / "runs" / "7" / "1", log="one\n") / "log"
    store.publish(log)
    log.write_text("one\ntwo\n")
    assert store.grown(log).read_text() == "one\ntwo\n"
    assert store.grown(on("b") / "runs" / "7" / "1" / "log").read_text() == "one\n"


def test_a_checkpoint_is_found_wherever_it_lies(on):
    folder = write(on("a") / "runs" / "7" / "2" / "checkpoints" / "checkpoint-8", seal="{}")
    store.publish(folder)
    on("b")
    assert storage.checkpoint_dir(7, 8) == storage.attempt_dir(7, 2) / "checkpoints" / "checkpoint-8"
    assert storage.checkpoint_dir(7, 16) is None


def test_places_mean_the_same_on_every_machine(on):
    path = write(on("a") / "models" / "5", weights="one")
    store.publish(path)
    place = storage.place_of(path)
    data = on("b")
    assert contents(storage.path_of(place)) == {"weights": "one"} and storage.path_of(place).is_relative_to(data)
    assert storage.path_of(storage.place_of(Path("/elsewhere/cache"))) == Path("/elsewhere/cache")


def test_a_bucket_that_does_not_answer_is_unavailable_and_no_secret_is_told(on, monkeypatch, settings):
    folder = write(on("a") / "models" / "5", weights="one")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    settings.STORAGES = {**settings.STORAGES}
    with pytest.raises(Unavailable) as refused:
        store.publish(folder)
    assert refused.value.status == 503 and bucket.KEYS["AWS_SECRET_ACCESS_KEY"] not in refused.value.message


@pytest.mark.parametrize("url", ["files", "s3://", "https://files/x", "s3://key:secret@files"])
def test_an_address_that_makes_no_sense_stops_the_start(url):
    with pytest.raises(ImproperlyConfigured, match="STORAGE_URL"):
        env.bucket_from_url(url)


def test_the_url_names_bucket_and_prefix():
    shared, prefix = env.bucket_from_url("s3://files/a/b/")
    assert shared["OPTIONS"]["bucket_name"] == "files" and prefix == "a/b/"
    assert env.bucket_from_url("s3://files")[1] == ""
