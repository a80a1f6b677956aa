"""What a provider gave us for an attempt: `remote.json` in the run directory, {id, url, …}. Written once it has accepted it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.engine.rundir import write_atomic

FILE = "remote.json"


def write(run_dir: Path, **values: Any) -> None:
    write_atomic(run_dir / FILE, json.dumps(values))


def read(run_dir: Path) -> dict[str, Any] | None:
    """None when the provider has accepted nothing yet, as far as we know."""
    try:
        return json.loads((run_dir / FILE).read_text())
    except (OSError, ValueError):
        return None
