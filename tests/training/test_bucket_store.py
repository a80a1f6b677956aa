"""A job's bucket: what is in it outlives a container, and a later attempt goes on from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.engine import checkpoints
from training.engine.remote.bucket import BucketStore


class Repository:
    """The store behind it, which remembers what it was given."""

    def __init__(self, *steps: int):
        self.steps, self.kept = steps, []

    def fetch(self, target: Path) -> None:
        target.mkdir(parents=True)
        for step in self.steps:
            write(target, step)

    def keep_checkpoint(self, run_dir: Path, name: str) -> None:
        self.kept.append(name)

    def keep_end(self, run_dir: Path) -> None:
        self.kept.append("end")

    def wants_stop(self) -> bool:
        return True


def write(run_dir: Path, step: int) -> str:
    root = run_dir / "checkpoints"
    staged = checkpoints.stage(root, step)
    (staged / "weights").write_text(str(step))
    (staged / "below").mkdir()
    (staged / "below/progress.json").write_text("{}")
    return checkpoints.commit(staged, root, step).path.name


def begun(
    path: Path, bucket: Path, *, attempt: int = 1, since: int = 1, sent: tuple[int, ...] = ()
) -> tuple[BucketStore, Repository, int]:
    """(store, what is behind it, step to go on from) of a container of this attempt."""
    behind = Repository(*sent)
    store = BucketStore(behind, bucket, attempt, since)
    run = path / f"attempt-{attempt}-{since}"
    store.fetch(run)
    newest = checkpoints.newest(run / "checkpoints")[0]
    return store, behind, newest.step if newest else 0


def test_the_next_attempt_goes_on_from_the_newest_whether_sent_or_held(tmp_path: Path) -> None:
    bucket, run = tmp_path / "bucket", tmp_path / "run"
    store, behind, step = begun(tmp_path, bucket)
    assert step == 0
    (run / "checkpoints").mkdir(parents=True)
    (run / "events.jsonl").write_text("{}\n")
    for step in (4, 8):
        store.keep_checkpoint(run, write(run, step))
    assert behind.kept == ["checkpoint-4", "checkpoint-8"]
    assert [path.name for path in bucket.glob("1/checkpoints/*")] == ["checkpoint-8"]
    assert (bucket / "1/events.jsonl").exists()
    assert begun(tmp_path, bucket, attempt=2)[2] == 8
    assert begun(tmp_path, bucket, attempt=3, sent=(12,))[2] == 12
    assert begun(tmp_path, bucket, attempt=4, since=4, sent=(2,))[2] == 2  # somebody went back to step 2
    assert store.wants_stop()


def test_a_checkpoint_without_its_seal_is_none(tmp_path: Path) -> None:
    bucket, run = tmp_path / "bucket", tmp_path / "run"
    store, _, _ = begun(tmp_path, bucket)
    store.keep_checkpoint(run, write(run, 4))
    (bucket / "1/checkpoints/checkpoint-4/seal.json").unlink()
    assert begun(tmp_path, bucket, attempt=2)[2] == 0


def test_a_bucket_that_takes_nothing_does_not_stop_the_way_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, blocked = tmp_path / "run", tmp_path / "file"
    blocked.write_text("no directory")
    behind = Repository()
    BucketStore(behind, blocked, 1, 1).keep_checkpoint(run, write(run, 4))
    assert behind.kept == ["checkpoint-4"]
    assert "did not take checkpoint-4" in capsys.readouterr().out
