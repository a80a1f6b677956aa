"""One set of files for several machines: what one has made is published to a bucket, and brought here where another one needs it.

A "tree" is a file or directory under DATA_DIR that is always complete: rows.parquet, a model, a checkpoint. Its key is its path under
DATA_DIR, the same on every machine. Objects are called <key>/<sha256>/<name>, and the row in StoredTree that names them is written
last (docs/adr/0009). DATA_DIR/stored/<key> says which state of a tree is here. Without STORAGE_URL every function here returns at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from finetune.core import bucket
from finetune.core.errors import Unavailable
from finetune.core.side_by_side import side_by_side

logger = logging.getLogger(__name__)
STATES, STATE = "stored", ".state"
TIDY_SECONDS = 300.0
REMEMBERED = timedelta(days=30)  # for machines that were switched off when something was deleted
UNCLAIMED = timedelta(days=1)  # an object without a row is being published, or nobody's
# Nothing but the directory of one row; a run or a part of a dataset may come again under its name.
WHOLE = re.compile(r"(datasets|models|exports|runs)/[0-9]+")
Beat = Callable[[], None]


def is_shared() -> bool:
    """Whether this installation keeps its files in a bucket, too."""
    return bool(settings.STORAGE_URL)


def publish(path: Path, *, beat: Beat | None = None, like: Path | None = None) -> None:
    """Let every machine have this tree as it is now. What the bucket has of it already, or of the trees below `like`, is not sent again.

    `beat` is called once a second meanwhile. Raises Unavailable, and leaves what was published before, when the bucket does not answer;
    FileNotFoundError when a file goes away meanwhile.
    """
    if not is_shared():
        return
    key = _key(path)
    if key is None:
        raise ValueError(f"{path} is not under DATA_DIR")
    with _alone(key):
        before = _rows().filter(key=key).first()
        known = _objects(key, before.files if before else {})
        copies = _by_sum(like) if like else {}
        try:
            files = dict(side_by_side(partial(_send, key, known, copies), _listing(path), beat))
        except BaseException:
            with suppress(Unavailable):
                _sweep(key, keep=known)
            raise
        digest, now = _digest(files), _objects(key, files)
        values = {"files": files, "digest": digest, "bytes": sum(file["bytes"] for file in files.values()), "gone_at": None}
        _all_rows().update_or_create(key=key, defaults=values)
        _note(key, digest)
        if known - now:
            with suppress(Unavailable):  # the nightly sweep finds them
                _sweep(key, keep=now)


def here(path: Path, *, beat: Beat | None = None) -> Path:
    """The same path, once the newest published state of this tree is there. One that was never published stays as it is.

    Everything is verified by its sum before it takes its place. Unavailable when the bucket does not answer or has lost it.
    """
    if not is_shared() or (key := _key(path)) is None:
        return path
    tree = _rows().filter(key=key).first()
    if tree is None or (tree.digest == _noted(key) and path.exists()):
        return path
    with _alone(key):
        try:
            _refresh(key, path, beat)
        except bucket.Missing:  # another machine has just published a newer state: that one, then
            _refresh(key, path, beat)
    return path


def _refresh(key: str, path: Path, beat: Beat | None) -> None:
    tree = _rows().filter(key=key).first()  # as it is now that nobody else here is at it
    if tree and not (tree.digest == _noted(key) and path.exists()):
        _bring(tree, path, beat)
        _note(key, tree.digest)


def grown(path: Path) -> Path:
    """The same path of a file that only grows, such as a log: brought here when the bucket has more of it."""
    if is_shared() and (key := _key(path)):
        size = path.stat().st_size if path.exists() else 0
        if _rows().filter(key=key, bytes__gt=size).exists():
            return here(path)
    return path


def published(path: Path) -> dict[Path, Any]:
    """Path → row of every tree in the bucket that is this path or lies below it; empty without a bucket."""
    if not is_shared() or (key := _key(path)) is None:
        return {}
    return {settings.DATA_DIR / tree.key: tree for tree in _below(key)}


def forget(path: Path) -> None:
    """Nobody has this tree, or any below it, from now on. Objects that can't be removed now are found by `sweep`.

    With a dataset, model, export or job as a whole, other machines also remove what they never published (`tidy`).
    """
    if not is_shared() or (key := _key(path)) is None:
        return
    keys = list(_below(key).values_list("key", flat=True))
    if WHOLE.fullmatch(key):
        _all_rows().update_or_create(key=key, defaults={"files": {}, "digest": "", "bytes": 0, "gone_at": timezone.now()})
    if keys:
        _below(key).delete()
    for each in keys:
        _state_file(each).unlink(missing_ok=True)
        try:
            _sweep(each)
        except Unavailable as error:
            logger.warning("%s is left in the shared store: %s", each, error.message)


def sweep() -> int:
    """Remove objects that no row names and that are older than a day; gives their number."""
    if not is_shared():
        return 0
    _all_rows().filter(gone_at__lt=timezone.now() - REMEMBERED).delete()
    named = {name for tree in _rows().iterator() for name in _objects(tree.key, tree.files)}
    before = timezone.now() - UNCLAIMED
    lost = [name for name, when in bucket.names_below("") if when < before and name not in named]
    bucket.delete(lost)
    return len(lost)


def tidy() -> int:
    """Remove this machine's copies of what was deleted elsewhere; gives their number."""
    if not is_shared():
        return 0
    root = settings.DATA_DIR / STATES
    copies = {file.relative_to(root).as_posix().removesuffix(STATE) for file in root.rglob(f"[!.]*{STATE}")}
    copies -= set(_rows().values_list("key", flat=True))
    gone = _all_rows().exclude(gone_at=None).values_list("key", flat=True)
    doomed = copies | {key for key in gone if (settings.DATA_DIR / key).exists()}
    for key in doomed:
        with _alone(key):
            if not _rows().filter(key=key).exists():
                _remove(settings.DATA_DIR / key)
                _state_file(key).unlink(missing_ok=True)
    return len(doomed)


def keep_tidy() -> None:
    """Tidy this machine from now on, in a thread of this process. Several processes doing so hurt nobody."""
    if is_shared():
        threading.Thread(target=_tidy_again_and_again, name="tidy-store", daemon=True).start()


def _tidy_again_and_again() -> None:
    while True:
        try:
            tidy()
        except Exception:
            logger.exception("Copies of deleted files could not be removed.")
        finally:
            connection.close()
        time.sleep(TIDY_SECONDS)


# --- Trees ------------------------------------------------------------------------------------------------------------------


def _all_rows() -> Any:
    return apps.get_model("core", "StoredTree").objects


def _rows() -> Any:
    return _all_rows().filter(gone_at=None)


def _below(key: str) -> Any:
    return _rows().filter(Q(key=key) | Q(key__startswith=f"{key}/"))


def _key(path: Path) -> str | None:
    """The path under DATA_DIR; None for one that lies elsewhere, such as in the Hub cache."""
    return path.relative_to(settings.DATA_DIR).as_posix() if path.is_relative_to(settings.DATA_DIR) else None


def _object(key: str, name: str, sha256: str) -> str:
    return f"{key}/{sha256}/{name or Path(key).name}"


def _objects(key: str, files: dict[str, Any]) -> set[str]:
    return {_object(key, name, file["sha256"]) for name, file in files.items()}


def _by_sum(path: Path) -> dict[str, str]:
    """Sum → object of every file that the bucket has at this path or below it."""
    trees = _below(key) if (key := _key(path)) else ()
    return {file["sha256"]: _object(tree.key, name, file["sha256"]) for tree in trees for name, file in tree.files.items()}


def _digest(files: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _listing(path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield "", path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file


def _send(key: str, known: set[str], copies: dict[str, str], item: tuple[str, Path]) -> tuple[str, dict[str, Any]]:
    """One file, read and sent through one handle: what is sent is what was summed, whatever is put in its place meanwhile."""
    name, file = item
    with open(file, "rb") as content:
        sha256, size = hashlib.file_digest(content, "sha256").hexdigest(), content.tell()
        target = _object(key, name, sha256)
        if sha256 in copies:
            bucket.copy(copies[sha256], target)
        elif target not in known:
            content.seek(0)
            bucket.put(target, content)
    return name, {"bytes": size, "sha256": sha256}


def _bring(tree: Any, path: Path, beat: Beat | None) -> None:
    """Fetch beside the place, verify, and let it take the place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".fetched-", dir=path.parent))
    try:
        side_by_side(partial(_fetch, tree.key, path, staging), tree.files.items(), beat)
        staging.chmod(0o755)
        if "" in tree.files:
            os.replace(staging / path.name, path)
        else:
            _remove(path)
            os.replace(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fetch(key: str, path: Path, staging: Path, item: tuple[str, dict[str, Any]]) -> None:
    name, file = item
    target, mine = staging / (name or path.name), path / name if name else path
    target.parent.mkdir(parents=True, exist_ok=True)
    if mine.is_file() and mine.stat().st_size == file["bytes"] and _sum(mine) == file["sha256"]:
        os.link(mine, target)
        return
    bucket.get(_object(key, name, file["sha256"]), target)
    if _sum(target) != file["sha256"]:
        raise Unavailable(f"{key} is damaged in the shared store.", code="file_damaged")


def _sum(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sweep(key: str, keep: Iterable[str] = ()) -> None:
    """Remove the objects of one tree, but those to keep."""
    bucket.delete([name for name, _ in bucket.names_below(f"{key}/") if name not in set(keep) and _is_of(key, name)])


def _is_of(key: str, name: str) -> bool:
    """Whether the object belongs to this tree itself and not to one below it."""
    part = name.removeprefix(f"{key}/").partition("/")[0]
    return len(part) == 64 and set(part) <= set("0123456789abcdef")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# --- What is here -----------------------------------------------------------------------------------------------------------


def _state_file(key: str) -> Path:
    return settings.DATA_DIR / STATES / f"{key}{STATE}"


def _noted(key: str) -> str:
    try:
        return _state_file(key).read_text()
    except OSError:
        return ""


def _note(key: str, digest: str) -> None:
    file = _state_file(key)
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    staged.write_text(digest)
    os.replace(staged, file)


@contextmanager
def _alone(key: str) -> Iterator[None]:
    """One process of this machine at a time works on a tree; the system takes the lock away from a dead one."""
    folder = settings.DATA_DIR / STATES
    folder.mkdir(exist_ok=True)
    number = hashlib.sha256(key.encode()).digest()[0]  # some trees share a lock: so there is a fixed number of files
    with open(folder / f".lock-{number}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
