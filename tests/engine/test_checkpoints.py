"""A checkpoint is whole or it is not there."""

from __future__ import annotations

import pytest

from training.engine import checkpoints


def write(root, step: int, text: str = "weights") -> checkpoints.Checkpoint:
    staged = checkpoints.stage(root, step)
    written = staged / "x"
    written.mkdir()
    (written / "model.bin").write_text(text)
    (written / checkpoints.PROGRESS).write_text('{"tokens": 3}')
    kept = checkpoints.commit(written, root, step)
    staged.rmdir()
    return kept


def test_what_was_written_is_found(tmp_path) -> None:
    write(tmp_path, 9)
    kept = write(tmp_path, 10)
    found, torn = checkpoints.newest(tmp_path)
    assert found == kept and found.step == 10 and found.progress() == {"tokens": 3} and not torn
    assert found.bytes == sum(path.stat().st_size for path in found.path.iterdir())


def shorten(path) -> None:
    path.write_text("weig")


def alter(path) -> None:
    path.write_text("Weights")


def remove(path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [shorten, alter, remove])
@pytest.mark.parametrize("name", ["model.bin", checkpoints.SEAL])
def test_a_damaged_one_is_passed_over(tmp_path, damage, name) -> None:
    whole = write(tmp_path, 5)
    damage(write(tmp_path, 10).path / name)
    found, torn = checkpoints.newest(tmp_path)
    assert found == whole and [path.name for path in torn] == ["checkpoint-10"]


def test_one_being_written_is_no_checkpoint_and_is_cleaned(tmp_path) -> None:
    staged = checkpoints.stage(tmp_path, 5)
    (staged / "model.bin").write_text("half")
    assert checkpoints.newest(tmp_path) == (None, [])
    checkpoints.clean(tmp_path)
    assert not staged.exists()


def test_the_newest_are_kept(tmp_path) -> None:
    for step in (2, 10, 9):
        write(tmp_path, step)
    checkpoints.keep_newest(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]


def test_the_same_step_again_replaces_it(tmp_path) -> None:
    write(tmp_path, 5, "old")
    assert (write(tmp_path, 5, "new").path / "model.bin").read_text() == "new"
    assert checkpoints.newest(tmp_path)[0].step == 5


def test_an_adopted_one_outlives_its_origin(tmp_path) -> None:
    origin, own = tmp_path / "a", tmp_path / "b"
    own.mkdir()
    adopted = checkpoints.adopt(write(origin, 5), own)
    checkpoints.discard(origin / "checkpoint-5")
    assert checkpoints.newest(own) == (adopted, [])
