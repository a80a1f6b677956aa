"""A Hugging Face Job: the run's files are a private repository, its events are lines of the Job's log."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .runner import Runner
from .stores import HubStore
from .voices import Output


def run_job() -> int:
    """AIFT_RUN_REPO names the repository, the secret HF_TOKEN opens it."""
    token = os.environ["HF_TOKEN"]
    path = Path(tempfile.mkdtemp(prefix="aift-")) / "attempt"
    store = HubStore(os.environ["AIFT_RUN_REPO"], token)
    return Runner(path, store, lambda run, incarnation: Output(run / "events.jsonl", incarnation), token=token).run()
