"""Tokens prepared once: the second run on the same rows, tokenizer and options links the file instead of making it again.

The cache lies in $AIFT_CACHE_DIR/prepared and is optional. An entry is <key>.arrow with the tokens and <key>.json with
the counts, written last. The key covers all that decides the tokens, including the code that makes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .checkpoints import sha256
from .data import Prepared, prepare
from .rundir import write_atomic

VARIABLE = "AIFT_CACHE_DIR"
KEEP_SECONDS = 30 * 86400  # an entry that nothing has used for so long is removed
MAKERS = ("data.py", "chat.py", "preference_data.py")
NOT_IN_KEY = ("tokenizer", "stop")  # the tokenizer's content is in it


def prepare_once(
    source: Path,
    target: Path,
    *,
    part: str,
    keep: Callable[[int], bool] | None = None,
    make: Callable[..., Prepared] = prepare,
    **options: Any,
) -> Prepared:
    """`make`, data.prepare or its like, from the cache where it has been done before. `part` names which rows `keep` accepts.

    `options` are make's own. Without a cache directory, or where it can't be written, this is make.
    """
    folder, key = cache_folder("prepared"), None
    if folder is not None and options["tokenizer"].is_fast:
        key = _key(source, f"{make.__module__} {part}", options)
        found = _take(folder, key, target)
        if found is not None:
            return found
    prepared = make(source, target, keep=keep, **options)
    if folder is not None and key is not None:
        with contextlib.suppress(OSError):  # a full or read-only cache must not stop a run that has its data
            _give(folder, key, prepared)
            _forget_old(folder)
    return prepared


def cache_folder(name: str) -> Path | None:
    """A folder of the cache; None when there is no cache."""
    root = os.environ.get(VARIABLE)
    return Path(root) / name if root else None


def _key(source: Path, part: str, options: dict[str, Any]) -> str:
    tokenizer = options["tokenizer"]
    template = str(tokenizer.chat_template)
    parts = {
        "rows": sha256(source),
        "part": part,
        "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        "specials": {name: str(value) for name, value in sorted(tokenizer.special_tokens_map.items())},
        "template": template,
        # A template that writes the date makes other tokens tomorrow.
        "day": time.strftime("%Y-%m-%d") if "strftime_now" in template else "",
        "options": {name: value for name, value in options.items() if name not in NOT_IN_KEY},
        "makers": [sha256(Path(__file__).with_name(name)) for name in MAKERS],
        "packages": [importlib.metadata.version(name) for name in ("transformers", "tokenizers")],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _take(folder: Path, key: str, target: Path) -> Prepared | None:
    """Link the cached tokens to `target`; None when there are none, or they are not whole."""
    counts = folder / f"{key}.json"
    try:
        values = json.loads(counts.read_text())
        if (folder / f"{key}.arrow").stat().st_size != values.pop("bytes"):
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        place(folder / f"{key}.arrow", target)
        os.utime(counts)
        return Prepared(path=target, **values)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _give(folder: Path, key: str, prepared: Prepared) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(prepared.path, "rb+") as file:
        os.fsync(file.fileno())
    place(prepared.path, folder / f"{key}.arrow")
    values = dataclasses.asdict(prepared) | {"bytes": prepared.path.stat().st_size}
    del values["path"]
    write_atomic(folder / f"{key}.json", json.dumps(values))


def place(source: Path, target: Path) -> None:
    """Make `target` the same file, or a copy on another disk; it appears whole or not at all."""
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    try:
        os.link(source, staged)
    except OSError:
        shutil.copyfile(source, staged)
    os.replace(staged, target)


def unused(folder: Path) -> Iterator[Path]:
    """The files of entries that nothing has used for KEEP_SECONDS; an entry's counts come before its tokens."""
    for counts in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            if time.time() - counts.stat().st_mtime > KEEP_SECONDS:
                yield counts
                yield counts.with_suffix(".arrow")


def _forget_old(folder: Path) -> None:
    for file in unused(folder):
        file.unlink(missing_ok=True)
