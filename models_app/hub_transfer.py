"""Files of a Hub commit on their way to a model's directory: several at a time, large ones once however many rows want them.

    DATA_DIR/models/.<id>-part/    what has arrived; becomes models/<id>/ in one step
    DATA_DIR/blobs/<ab>/<sha-256>  every large file once; directories hold hard links to it
    …/<sha-256>.part               a large file on its way, taken up by the next worker when this one dies

Who works holds a lock on the directory (flock), which the system takes away from a dead process.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from finetune.core import hub_files, storage
from finetune.core.hub_models import HubFile, HubModel

AT_ONCE = 4
TICK = 0.5  # seconds between two looks at how far it is
RECORD = ".blobs.json"  # path → SHA-256 of the files that are links
OnProgress = Callable[[int, int], None]


class Stopped(Exception):
    """The download is not wanted any more."""


class Busy(Exception):
    """Another worker is at it."""


def staging_dir(pk: int) -> Path:
    return storage.model_dir(pk).with_name(f".{pk}-part")


@contextmanager
def working_on(pk: int) -> Iterator[Path]:
    """The staging directory, for one worker alone; Busy when there is one already."""
    folder = staging_dir(pk)
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        yield folder


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A directory for one worker alone; Busy when another one has it."""
    with _held(folder) as mine:
        if not mine:
            raise Busy
        yield


def bytes_missing(files: list[HubFile]) -> int:
    """What is still to come, where large files that are stored already count for nothing and begun ones for the rest."""
    return sum(max(0, file.bytes - _there(file)) for file in files)


def _there(file: HubFile) -> int:
    if not file.sha256:
        return 0
    blob = storage.blob_file(file.sha256)
    if blob.exists():
        return file.bytes
    with suppress(OSError):
        return _partial(blob).stat().st_size
    return 0


def fetch_files(model: HubModel, files: list[HubFile], folder: Path, *, token: str, on_progress: OnProgress) -> None:
    """Bring all of them into `folder`. `on_progress(done, total)` is called in this thread and may raise to stop.

    Raises what the door raises; large files that have begun to come stay for the next time, unless it was stopped.
    """
    (folder / RECORD).write_text(json.dumps({file.path: file.sha256 for file in files if file.sha256}))
    transfer = _Transfer(model, folder, token)
    total = sum(file.bytes for file in files)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download") as pool:
        waiting = {pool.submit(transfer.bring, file) for file in files}
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=TICK)
                on_progress(min(transfer.done(), total), total)
                for future in finished:
                    future.result()
        except BaseException as error:
            transfer.stop(discard=isinstance(error, Stopped))
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _Transfer:
    """One model's files; `bring` runs in several threads."""

    def __init__(self, model: HubModel, folder: Path, token: str):
        self.model, self.folder, self.token = model, folder, token
        self._bytes: dict[str, int] = {}
        self._stopped = threading.Event()
        self._discard = False

    def done(self) -> int:
        return sum(self._bytes.copy().values())

    def stop(self, *, discard: bool) -> None:
        self._discard = discard
        self._stopped.set()

    def bring(self, file: HubFile) -> None:
        target = self.folder / file.path
        if not (target.exists() and target.stat().st_size == file.bytes):
            if file.sha256:
                self._large(file, target)
            else:
                self._download(file, target.with_name(f"{target.name}.part")).replace(target)
        self._bytes[file.path] = file.bytes

    def _large(self, file: HubFile, target: Path) -> None:
        blob = storage.blob_file(file.sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with self._turn(file, blob):
            if not blob.exists():
                self._download(file, _partial(blob)).replace(blob)
            try:
                os.link(blob, target)
            except OSError:  # a file system without links: this model has the bytes for itself
                blob.replace(target)

    @contextmanager
    def _turn(self, file: HubFile, blob: Path) -> Iterator[None]:
        """Wait while another download fetches the same file, and watch it grow."""
        while True:
            self._check()
            with _held(blob.parent) as mine:
                if mine:
                    yield
                    return
            self._bytes[file.path] = _there(file)
            time.sleep(TICK)

    def _download(self, file: HubFile, partial: Path) -> Path:
        self._bytes[file.path] = partial.stat().st_size if partial.exists() else 0

        def count(more: int) -> None:
            self._check()
            self._bytes[file.path] += more

        try:
            hub_files.fetch_file(self.model.repo_id, file, self.model.commit, partial, count, token=self.token)
        except Stopped:
            if self._discard:
                partial.unlink(missing_ok=True)
            raise
        return partial

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Stopped


def publish(folder: Path, pk: int) -> Path:
    """The complete directory becomes models/<id>/."""
    target = storage.model_dir(pk)
    if target.exists():
        shutil.rmtree(target)
    folder.replace(target)
    return target


def remove_model_files(pk: int) -> None:
    """Delete a model's directories, and every large file that no other model links to."""
    for folder in (storage.model_dir(pk), staging_dir(pk)):
        hashes = _recorded(folder)
        storage.remove_tree(folder)
        for sha256 in hashes:
            storage.forget_blob(sha256)


def discard_idle(pk: int) -> None:
    """Remove what a cancelled download left, unless a worker is still at it: that one cleans up itself."""
    if staging_dir(pk).exists():
        with suppress(Busy), working_on(pk):
            discard(staging_dir(pk))


def discard(folder: Path) -> None:
    """Remove a staging directory, and the large files that only it had."""
    hashes = _recorded(folder)
    storage.remove_tree(folder)
    for sha256 in hashes:
        storage.forget_blob(sha256)


def forget_old_partials(older_than: float) -> int:
    """Remove large files that nobody has gone on with for so many seconds; gives their number."""
    found = [
        path for path in storage.blob_file("00").parent.parent.glob("*/*.part") if path.stat().st_mtime < time.time() - older_than
    ]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _recorded(folder: Path) -> list[str]:
    try:
        return list(json.loads((folder / RECORD).read_text()).values())
    except (OSError, ValueError, AttributeError):
        return []


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.part")


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether this call got the lock on a directory; it lasts as long as the block, or the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
