"""A bucket that is mounted read-write into every container of one job: `<attempt>/checkpoints/` and what was told so far.

Writing there is writing to a disk, so a checkpoint is safe long before its commit to the run's repository is through; a run that the
provider kills goes on from there, whatever came home of it. A mount may know no renaming: the seal of a checkpoint is written last, and
one without it is no checkpoint.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from training.engine import checkpoints
from training.engine.rundir import RunDir

from .stores import Store, told_files


class BucketStore:
    """Another store, with the bucket before it. `since` is the first attempt whose checkpoints still count: somebody may have gone back."""

    def __init__(self, store: Store, folder: Path, attempt: int, since: int):
        self.store, self.folder, self.attempt, self.since = store, folder, attempt, since

    def fetch(self, target: Path) -> None:
        self.store.fetch(target)
        held, brought = self._newest(), checkpoints.newest(RunDir(target).checkpoints)[0]
        if held and (brought is None or brought.step < held.step):
            print(f"Going on from {held.path.name}, which is in the bucket.", flush=True)
            shutil.copytree(held.path, RunDir(target).checkpoints / held.path.name, dirs_exist_ok=True)

    def keep_checkpoint(self, run_dir: Path, name: str) -> None:
        try:
            self._keep(run_dir, name)
        except FileNotFoundError:  # the engine has removed it since
            raise
        except OSError as error:  # the way home is there still
            print(f"The bucket did not take {name}: {type(error).__name__}", flush=True)
        self.store.keep_checkpoint(run_dir, name)

    def keep_end(self, run_dir: Path) -> None:
        self.store.keep_end(run_dir)

    def wants_stop(self) -> bool:
        return self.store.wants_stop()

    def _newest(self) -> checkpoints.Checkpoint | None:
        attempts = range(self.since, self.attempt + 1)
        held = [found for number in attempts if (found := checkpoints.newest(self.folder / str(number) / "checkpoints")[0])]
        return max(held, key=lambda checkpoint: checkpoint.step, default=None)

    def _keep(self, run_dir: Path, name: str) -> None:
        source, root = run_dir / "checkpoints" / name, self.folder / str(self.attempt) / "checkpoints"
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == checkpoints.SEAL):
            target = root / name / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for older in self.folder.glob(f"*/checkpoints/{checkpoints.PREFIX}*"):
            if older != root / name:
                shutil.rmtree(older, ignore_errors=True)
        for path in told_files(run_dir):
            shutil.copyfile(path, root.parent / path.name)
