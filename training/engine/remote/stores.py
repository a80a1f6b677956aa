"""Where a run's files come from and go to: a private repository on the Hub, or a directory that outlives the container.

Under `run/` lies the run directory as the platform made it; the runner adds checkpoints/, output/, events.jsonl, engine.log and, when
the engine has ended, exit.json, last.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

FOLDER = "run"
TOLD = ("events.jsonl", "engine.log", "incarnation")
TRIES, WAIT_SECONDS = 5, 2.0


class Store(Protocol):
    """A run's files beyond the container's life."""

    def fetch(self, target: Path) -> None:
        """Bring the run directory here, with what an earlier container of the same run has left."""

    def keep_checkpoint(self, run_dir: Path, name: str) -> None:
        """Keep this checkpoint, and with it what has been told so far; older ones go."""

    def keep_end(self, run_dir: Path) -> None:
        """Keep the output, what was told, and how the engine ended."""

    def wants_stop(self) -> bool:
        """Whether the platform left word to stop."""


def hub_store(token: str) -> Store:
    """The run's repository, behind its job's bucket where one is mounted. AIFT_RUN_REPO names the one, AIFT_STATE is where the other is."""
    store: Store = HubStore(os.environ["AIFT_RUN_REPO"], token)
    if state := os.environ.get("AIFT_STATE"):
        from .bucket import BucketStore

        store = BucketStore(store, Path(state), int(os.environ["AIFT_ATTEMPT"]), int(os.environ["AIFT_SINCE"]))
    return store


class HubStore:
    """A private dataset repository, one for each attempt."""

    def __init__(self, repo_id: str, token: str):
        from huggingface_hub import HfApi

        self.repo_id, self.api = repo_id, HfApi(token=token)

    def fetch(self, target: Path) -> None:
        from huggingface_hub import snapshot_download

        staging = target.with_name(f"{target.name}-fetched")
        _patiently(
            lambda: snapshot_download(
                self.repo_id, repo_type="dataset", allow_patterns=[f"{FOLDER}/*"], ignore_patterns=[f"{FOLDER}/{name}" for name in TOLD],
                local_dir=staging, token=self.api.token, endpoint=self.api.endpoint,
            )
        )  # fmt: skip
        shutil.move(staging / FOLDER, target)

    def keep_checkpoint(self, run_dir: Path, name: str) -> None:
        older = [path for path in self._files(f"{FOLDER}/checkpoints/") if not path.startswith(f"{FOLDER}/checkpoints/{name}/")]
        folder = run_dir / "checkpoints" / name
        self._commit(run_dir, [*_files(folder), *told_files(run_dir)], f"Checkpoint {name}", older)

    def keep_end(self, run_dir: Path) -> None:
        files = [*_files(run_dir / "output"), *told_files(run_dir), run_dir / "exit.json"]
        self._commit(run_dir, files, "The run ended", [])

    def wants_stop(self) -> bool:
        try:
            return self.api.file_exists(self.repo_id, f"{FOLDER}/cancel", repo_type="dataset")
        except Exception:  # noqa: BLE001 - the Hub is away: ask again later, the run goes on
            return False

    def _files(self, below: str) -> list[str]:
        return [
            path
            for path in _patiently(lambda: self.api.list_repo_files(self.repo_id, repo_type="dataset"))
            if path.startswith(below)
        ]

    def _commit(self, run_dir: Path, files: list[Path], message: str, gone: list[str]) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        def commit() -> None:
            operations: list[Any] = [CommitOperationAdd(f"{FOLDER}/{path.relative_to(run_dir).as_posix()}", path) for path in files]
            operations += [CommitOperationDelete(path) for path in gone]
            self.api.create_commit(self.repo_id, operations, commit_message=message, repo_type="dataset")

        _patiently(commit)


class FolderStore:
    """A directory on a volume that is mounted into the container; `sync` makes what was written there lasting."""

    def __init__(self, folder: Path, sync: Callable[[], None] = lambda: None):
        self.folder, self.sync = folder / FOLDER, sync

    def fetch(self, target: Path) -> None:
        shutil.copytree(self.folder, target, ignore=shutil.ignore_patterns(*TOLD))

    def keep_checkpoint(self, run_dir: Path, name: str) -> None:
        source, root = run_dir / "checkpoints" / name, self.folder / "checkpoints"
        root.mkdir(parents=True, exist_ok=True)
        staging = root / f".staging-{name}"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(source, staging)
        shutil.rmtree(root / name, ignore_errors=True)
        staging.rename(root / name)
        for older in root.glob("checkpoint-*"):
            if older.name != name:
                shutil.rmtree(older, ignore_errors=True)
        self._copy(told_files(run_dir), run_dir)

    def keep_end(self, run_dir: Path) -> None:
        shutil.rmtree(self.folder / "output", ignore_errors=True)
        if (run_dir / "output").exists():
            shutil.copytree(run_dir / "output", self.folder / "output")
        self._copy([*told_files(run_dir), run_dir / "exit.json"], run_dir)

    def wants_stop(self) -> bool:
        return (self.folder / "cancel").exists()

    def _copy(self, files: list[Path], run_dir: Path) -> None:
        for path in files:
            shutil.copy2(path, self.folder / path.relative_to(run_dir))
        self.sync()


def fetch_base(run_dir: Path, token: str = "") -> None:
    """Download the base model from the Hub where the spec names it there (`base.json`: {repo_id, revision, endpoint?})."""
    wanted = run_dir / "base.json"
    if not wanted.exists():
        return
    from huggingface_hub import snapshot_download

    told = json.loads(wanted.read_text())
    cache = os.environ.get("AIFT_HUB_CACHE")
    place: dict[str, Any] = {"cache_dir": cache} if cache else {"local_dir": run_dir / "model"}
    masks = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "tokenizer*"]
    found = _patiently(
        lambda: snapshot_download(told["repo_id"], revision=told["revision"], allow_patterns=masks, token=token or None, **place)
    )
    if cache:
        (run_dir / "model").symlink_to(found)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def told_files(run_dir: Path) -> list[Path]:
    return [run_dir / name for name in TOLD if (run_dir / name).exists()]


def _patiently(act: Callable[[], Any]) -> Any:
    """Again and again while a network or a service stumbles: hours of training must not be lost for a minute of that."""
    for attempt in range(TRIES):
        try:
            return act()
        except FileNotFoundError:
            raise
        except Exception as error:  # the client has many
            if attempt == TRIES - 1:
                raise
            print(f"Trying again: {type(error).__name__}", flush=True)
            time.sleep(WAIT_SECONDS * 2**attempt)
    return None
