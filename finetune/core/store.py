"""One set of files for several machines: what one has made is published to a bucket, and brought here where another one needs it.

A "tree" is a file or directory under DATA_DIR that is always complete: rows.parquet, a model, a checkpoint. Its key is its path under
DATA_DIR, the same on every machine. Objects are called <key>/<sha256>/<name>, and the row in StoredTree that names them is written
last (docs/adr/0009). DATA_DIR/stored/<key> says which state of a tree is here. Without STORAGE_URL every function here returns at once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from finetune.core import bucket, trees
from finetune.core.checksums import sha256_of
from finetune.core.errors import Unavailable
from finetune.core.side_by_side import side_by_side

logger = logging.getLogger(__name__)
FETCHED = ".fetched-"  # begins the name of what is being brought here; a crash leaves it
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
    key = trees.key_of(path)
    if key is None:
        raise ValueError(f"{path} is not under DATA_DIR")
    with trees.alone(key):
        before = trees.rows().filter(key=key).first()
        known = trees.objects_of(key, before.files) & {name for name, _ in bucket.names_below(f"{key}/")} if before else set()
        copies = _by_sum(like) if like else {}
        try:
            files = dict(side_by_side(partial(_send, key, known, copies), _listing(path), beat))
        except BaseException:
            with suppress(Unavailable):
                _sweep(key, keep=known)
            raise
        digest, now = _digest(files), trees.objects_of(key, files)
        values = {"files": files, "digest": digest, "bytes": sum(file["bytes"] for file in files.values()), "gone_at": None}
        trees.all_rows().update_or_create(key=key, defaults=values)
        trees.note(key, digest)
        if known - now:
            with suppress(Unavailable):  # the nightly sweep finds them
                _sweep(key, keep=now)


def here(path: Path, *, beat: Beat | None = None) -> Path:
    """The same path, once the newest published state of this tree is there. One that was never published stays as it is.

    Everything is verified by its sum before it takes its place. Unavailable when the bucket does not answer or has lost it.
    """
    if not is_shared() or (key := trees.key_of(path)) is None:
        return path
    tree = trees.rows().filter(key=key).first()
    if tree is None or _is_here(tree, path):
        return path
    with trees.alone(key):
        try:
            _refresh(key, path, beat)
        except bucket.Missing:  # another machine has just published a newer state: that one, then
            _refresh(key, path, beat)
    return path


def _refresh(key: str, path: Path, beat: Beat | None) -> None:
    tree = trees.rows().filter(key=key).first()  # as it is now that nobody else here is at it
    if tree and not _is_here(tree, path):
        _bring(tree, path, beat)
        trees.note(key, tree.digest)


def _is_here(tree: Any, path: Path) -> bool:
    return tree.digest == trees.noted(tree.key) and path.exists()


def has(path: Path, *names: str) -> bool:
    """Whether `here` would find all of these files in this tree. For those who needn't read them: nothing is brought here."""
    if all((path / name).exists() for name in names):
        return True
    tree = published(path).get(path)
    return tree is not None and not _is_here(tree, path) and set(names) <= set(tree.files)


def read_text(path: Path, name: str) -> str:
    """A small file of this tree, as `here` would find it; the rest of the tree is not brought for it. OSError where there is none;
    Unavailable when the bucket does not answer."""
    tree = published(path).get(path)
    if tree is None or _is_here(tree, path):
        return (path / name).read_text()
    if name not in tree.files:
        raise FileNotFoundError(f"{tree.key} has no {name}.")
    return _text_of(tree.key, name, tree.files[name]["sha256"])


@lru_cache(maxsize=64)  # an object never changes
def _text_of(key: str, name: str, sha256: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _get(key, name, sha256, target := Path(folder) / "file")
        return target.read_text()


def grown(path: Path) -> Path:
    """The same path of a file that only grows, such as a log: brought here when the bucket has more of it."""
    if is_shared() and (key := trees.key_of(path)):
        size = path.stat().st_size if path.exists() else 0
        if trees.rows().filter(key=key, bytes__gt=size).exists():
            return here(path)
    return path


def published(path: Path) -> dict[Path, Any]:
    """Path → row of every tree in the bucket that is this path or lies below it; empty without a bucket."""
    if not is_shared() or (key := trees.key_of(path)) is None:
        return {}
    return {settings.DATA_DIR / tree.key: tree for tree in trees.below(key)}


def is_damaged(tree: Any) -> bool:
    """Whether the bucket has lost something of a published tree."""
    return bool(trees.objects_of(tree.key, tree.files) - {name for name, _ in bucket.names_below(f"{tree.key}/")})


def forget(path: Path) -> None:
    """Nobody has this tree, or any below it, from now on. Objects that can't be removed now are found by `sweep`.

    With a dataset, model, export or job as a whole, other machines also remove what they never published (`tidy`).
    """
    if not is_shared() or (key := trees.key_of(path)) is None:
        return
    keys = list(trees.below(key).values_list("key", flat=True))
    gone = {"files": {}, "digest": "", "bytes": 0, "gone_at": timezone.now()}
    if keys:
        trees.below(key).update(**gone)
    if trees.WHOLE.fullmatch(key):
        trees.all_rows().update_or_create(key=key, defaults=gone)
    for each in keys:
        trees.state_file(each).unlink(missing_ok=True)
        try:
            _sweep(each)
        except Unavailable as error:
            logger.warning("%s is left in the shared store: %s", each, error.message)


def _by_sum(path: Path) -> dict[str, str]:
    """Sum → object of every file that the bucket has at this path or below it."""
    found = trees.below(key) if (key := trees.key_of(path)) else ()
    return {
        file["sha256"]: trees.object_name(tree.key, name, file["sha256"]) for tree in found for name, file in tree.files.items()
    }


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
        target = trees.object_name(key, name, sha256)
        if sha256 in copies:
            bucket.copy(copies[sha256], target)
        elif target not in known:
            content.seek(0)
            bucket.put(target, content)
    return name, {"bytes": size, "sha256": sha256}


def _bring(tree: Any, path: Path, beat: Beat | None) -> None:
    """Fetch beside the place, verify, and let it take the place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=FETCHED, dir=path.parent))
    try:
        side_by_side(partial(_fetch, tree.key, path, staging), tree.files.items(), beat)
        staging.chmod(0o755)
        if "" in tree.files:
            os.replace(staging / path.name, path)
        else:
            trees.remove(path)
            os.replace(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fetch(key: str, path: Path, staging: Path, item: tuple[str, dict[str, Any]]) -> None:
    name, file = item
    target, mine = staging / (name or path.name), path / name if name else path
    target.parent.mkdir(parents=True, exist_ok=True)
    if mine.is_file() and mine.stat().st_size == file["bytes"] and sha256_of(mine) == file["sha256"]:
        _link(mine, target)
        return
    _get(key, name, file["sha256"], target)


def _get(key: str, name: str, sha256: str, target: Path) -> None:
    """One file from the bucket, verified."""
    bucket.get(trees.object_name(key, name, sha256), target)
    if sha256_of(target) != sha256:
        raise Unavailable(f"{key} is damaged in the shared store.", code="file_damaged")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _sweep(key: str, keep: Iterable[str] = ()) -> None:
    """Remove the objects of one tree, but those to keep."""
    bucket.delete([name for name, _ in bucket.names_below(f"{key}/") if name not in set(keep) and trees.is_of(key, name)])
