"""Whether an optional package is there for a run that starts here. Asked by the engine, and by the platform before it queues a job."""

from __future__ import annotations

import importlib.util


def is_missing(module: str) -> bool:
    """Whether runs here have to do without it. A process that has no torch itself trains nothing (the web process of a larger
    installation): what its workers have it can't tell, and the engine looks again where it starts."""
    return importlib.util.find_spec("torch") is not None and importlib.util.find_spec(module) is None
