"""A disk that is soon full: a tmpfs of a few megabytes, which root may mount, and everybody who is root in a namespace of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one at this directory, for as long as the block lasts; skips the test where that isn't permitted."""
    place.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("Mounting is not permitted here: run it as root, or under unshare --user --map-root-user --mount.")
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class SmallDisk:
    """It can be filled to the last byte, and emptied of that again."""

    def __init__(self, place: Path):
        self._filling = place / "filling"

    def fill(self) -> None:
        with open(self._filling, "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        self._filling.unlink()
