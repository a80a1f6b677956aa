"""Several files and directories take the places of others, all of them or none."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPLACED = ".replaced-"  # what was there lies beside its place under such a name until everything is done


@contextmanager
def swapped(places: list[tuple[Path | None, Path]]) -> Iterator[None]:
    """Move each new thing to its place, run the block, then delete what was there; put everything back when one of it fails."""
    token = uuid.uuid4().hex[:8]
    kept: list[tuple[Path, Path]] = []
    arrived: list[Path] = []
    try:
        for new, place in places:
            old = place.with_name(f"{REPLACED}{token}-{place.name}")
            if place.exists():
                os.replace(place, old)
                kept.append((old, place))
            if new is not None:
                arrived.append(place)
                shutil.move(new, place)
        yield
    except BaseException:
        for place in arrived:
            _remove(place)
        for old, place in kept:
            os.replace(old, place)
        raise
    for old, _ in kept:
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
