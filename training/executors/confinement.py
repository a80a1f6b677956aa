"""What an engine on this machine may reach of DATA_DIR: its own run, its model, the caches. See training.engine.confine."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from training.engine.confine import VARIABLE
from training.engine.rundir import RunDir

CACHE = "cache"  # entries are named by the hash of what is in them: who can't list them finds only what they have already


def confined_environment(run_dir: Path) -> dict[str, str]:
    """The variables that make the engine of this run directory confine itself; nothing where the operator turned that off."""
    if not settings.ENGINE_CONFINEMENT:
        return {}
    cache = settings.DATA_DIR / CACHE
    home = settings.DATA_DIR / ".cache"  # where HOME is DATA_DIR, libraries keep their compiled kernels there
    for folder in (cache, home):
        folder.mkdir(exist_ok=True)
    bounds = {
        "root": str(settings.DATA_DIR),
        "read": [str(path) for path in _readable(run_dir)],
        "write": [str(run_dir.parent), *map(str, settings.DATA_DIR.glob(".[a-z]*/"))],
        "search": [str(cache)],
        "nice": settings.ENGINE_NICE,
        "memory_bytes": settings.ENGINE_MEMORY_BYTES,
    }
    return {VARIABLE: json.dumps(bounds)} | _scratch(run_dir)


def _readable(run_dir: Path) -> Iterator[Path]:
    """The base model's files, also where the Hub's cache holds them by links into its blobs."""
    run = RunDir(run_dir)
    model = run.resolve(run.read_spec().model.path)
    yield model
    yield from {file.resolve().parent for file in model.glob("*") if file.is_symlink()}


def _scratch(run_dir: Path) -> dict[str, str]:
    """A place for temporary files of its own where the usual one holds DATA_DIR itself and is closed therefore."""
    usual = Path(os.environ.get("TMPDIR") or tempfile.gettempdir()).resolve()
    if usual not in settings.DATA_DIR.parents:
        return {}
    own = run_dir / "tmp"
    own.mkdir(exist_ok=True)
    return {"TMPDIR": str(own)}
