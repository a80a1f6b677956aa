"""What the rules of retention remove, and all that they leave."""

from __future__ import annotations

import io
import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import User
from finetune.core import storage
from finetune.operations import retention
from finetune.operations.services.prune_files import prune, prune_files
from tests.factories import make_base_model, make_job, make_version
from training.engine import checkpoints, datacache
from training.models import TrainingJob
from training.services.resume_job import resume_job


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path: Path) -> Path:
    """A DATA_DIR for one test."""
    settings.DATA_DIR = tmp_path
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "uploads"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    return tmp_path


def ended(owner: User, status: str, days: int, **values) -> TrainingJob:
    """A job that ended so many days ago and left a checkpoint of 1000 bytes, a log of 100 and events."""
    base = make_base_model(owner, family=uuid4().hex)
    job = make_job(
        owner,
        model=base,
        status=status,
        train_split="train",
        attempt=1,
        finished_at=timezone.now() - timedelta(days=days),
        **values,
    )
    root = storage.attempt_dir(job.pk, 1)
    staged = checkpoints.stage(root / "checkpoints", 5)
    (staged / "weights").write_bytes(b"w" * 1000)
    checkpoints.commit(staged, root / "checkpoints", 5)
    (root / "engine.log").write_bytes(b"l" * 100)
    (root / "events.jsonl").write_text("{}\n")
    return job


def paths(found) -> set[str]:
    from django.conf import settings

    return {str(item.path.relative_to(settings.DATA_DIR)) for item in found}


def test_by_default_everything_is_kept(alice):
    for status in TrainingJob.FINISHED:
        ended(alice, status, 4000)
    assert prune_files() == []


def test_checkpoints_of_jobs_that_ended_long_ago(alice, settings):
    settings.RETAIN_CHECKPOINT_DAYS = 7
    old = [ended(alice, status, 8) for status in TrainingJob.FINISHED]
    young = ended(alice, "failed", 6)
    going = [ended(alice, status, 8) for status in ("queued", "running", "cancelling", "draft")]

    found = prune_files()

    assert paths(found) == {f"runs/{job.pk}/1/checkpoints" for job in old}
    assert all(not (job.run_dir / "checkpoints").exists() and (job.run_dir / "events.jsonl").exists() for job in old)
    assert all((job.run_dir / "checkpoints/checkpoint-5").exists() for job in (young, *going))
    assert not list(Path(settings.DATA_DIR).rglob(f"{retention.GONE}*"))


def test_a_job_without_checkpoints_resumes_from_the_beginning(alice, settings):
    settings.RETAIN_CHECKPOINT_DAYS = 1
    job = ended(alice, "failed", 2)
    prune_files()
    assert resume_job(job=job).status == "queued"


def test_the_dry_run_touches_nothing_and_says_the_bytes(alice, settings):
    settings.RETAIN_CHECKPOINT_DAYS, settings.RETAIN_LOG_DAYS = 7, 30
    job = ended(alice, "succeeded", 31)
    out = io.StringIO()

    call_command("prune", "--dry-run", stdout=out)

    seal = (job.run_dir / "checkpoints/checkpoint-5/seal.json").stat().st_size
    assert f"{1000 + seal:,}  checkpoints" in out.getvalue() and "100  logs" in out.getvalue()
    assert out.getvalue().splitlines()[-1].startswith("Would remove 2")
    assert (job.run_dir / "engine.log").exists() and (job.run_dir / "checkpoints/checkpoint-5").exists()

    call_command("prune", stdout=out)
    assert not (job.run_dir / "engine.log").exists()


def test_runs_of_failed_jobs_go_as_a_whole_and_once(alice, settings):
    settings.RETAIN_FAILED_RUN_DAYS = settings.RETAIN_CHECKPOINT_DAYS = settings.RETAIN_LOG_DAYS = 7
    failed, good = ended(alice, "failed", 8), ended(alice, "succeeded", 8)

    found = prune_files()

    assert paths(found) == {f"runs/{failed.pk}", f"runs/{good.pk}/1/checkpoints", f"runs/{good.pk}/1/engine.log"}
    assert not storage.job_dir(failed.pk).exists() and TrainingJob.objects.filter(pk=failed.pk).exists()


def test_weights_that_a_version_shares_are_not_lost_nor_counted(alice, settings):
    settings.RETAIN_CHECKPOINT_DAYS = 7
    job = ended(alice, "succeeded", 8)
    kept = storage.model_dir(make_version(alice, base=job.model).pk)
    kept.mkdir(parents=True)
    os.link(job.run_dir / "checkpoints/checkpoint-5/weights", kept / "weights")

    (found,) = prune_files()

    assert found.bytes < 1000
    assert (kept / "weights").read_bytes() == b"w" * 1000


def test_a_directory_that_a_model_points_into_stays(alice, settings):
    settings.RETAIN_CHECKPOINT_DAYS = settings.RETAIN_FAILED_RUN_DAYS = 7
    job = ended(alice, "failed", 8)
    make_version(alice, base=job.model, path=f"runs/{job.pk}/1/checkpoints/checkpoint-5")
    assert prune_files() == []


def test_a_job_resumed_between_the_look_and_the_deletion_keeps_its_files(alice, settings, monkeypatch):
    settings.RETAIN_CHECKPOINT_DAYS = 7
    job = ended(alice, "failed", 8)
    found = list(retention.removable())
    resume_job(job=job)
    monkeypatch.setattr("finetune.operations.services.prune_files.removable", lambda: iter(found))

    assert found and prune_files() == []
    assert (job.run_dir / "checkpoints/checkpoint-5").exists()


def test_debris_of_yesterday_goes_and_todays_uploads_stay(settings, db):
    old = time.time() - 2 * 86400
    for name in ("uploads/old.upload", "models/.7-abc/weights", "datasets/3/.hub-x/part", "runs/.gone-1/x", "models/8/weights"):
        path = Path(settings.DATA_DIR) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        for item in (path, path.parent):
            os.utime(item, (old, old))
    (Path(settings.DATA_DIR) / "uploads/new.upload").write_text("x")

    assert paths(prune_files()) == {"uploads/old.upload", "models/.7-abc", "datasets/3/.hub-x", "runs/.gone-1"}
    assert (Path(settings.DATA_DIR) / "uploads/new.upload").exists() and (Path(settings.DATA_DIR) / "models/8/weights").exists()


def test_prepared_tokens_go_by_their_own_rule(settings, db):
    folder = Path(settings.DATA_DIR) / "cache/prepared"
    folder.mkdir(parents=True)
    for name, age in (("old", datacache.KEEP_SECONDS + 60), ("young", 60)):
        for suffix in (".arrow", ".json"):
            (folder / f"{name}{suffix}").write_text("x")
            os.utime(folder / f"{name}{suffix}", (time.time() - age,) * 2)

    prune()

    assert {path.name for path in folder.iterdir()} == {"young.arrow", "young.json"}
