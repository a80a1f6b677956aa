"""What the platform writes is its own user's only, however it is started."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from finetune.launcher import private


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A DATA_DIR that an earlier release left readable for everybody."""
    before = os.umask(0o022)
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "db.sqlite3").touch(mode=0o644)
    yield folder
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_open_is_closed_and_what_comes_is(open_folder: Path) -> None:
    private.write_privately()
    private.close(open_folder)
    (open_folder / "new").write_text("x")
    (open_folder / "folder").mkdir()
    assert [mode(open_folder / name) for name in (".", "db.sqlite3", "new", "folder")] == [0o700, 0o600, 0o600, 0o700]


def test_a_folder_many_write_to_stays_theirs(open_folder: Path) -> None:
    open_folder.chmod(0o1777)
    private.close(open_folder)
    assert mode(open_folder) == 0o1777


@pytest.mark.parametrize(("given", "kept"), [(0o755, 0o700), (0o1777, 0o1777)])
def test_containers_and_units_do_the_same(open_folder: Path, given: int, kept: int) -> None:
    open_folder.chmod(given)
    python = open_folder / "python"  # in place of the real one: what it writes tells the umask it was given
    python.write_text('#!/bin/sh\necho "$@" > "$DATA_DIR/written"\n')
    python.chmod(0o755)
    environment = {"PATH": f"{open_folder}:{os.environ['PATH']}", "DATA_DIR": str(open_folder)}
    subprocess.run(["sh", str(settings.BASE_DIR / "deploy/start.sh"), "migrate"], env=environment, check=True)
    assert (open_folder / "written").read_text().startswith("manage.py migrate")
    assert (mode(open_folder), mode(open_folder / "written")) == (kept, 0o600)
