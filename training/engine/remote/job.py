"""A Hugging Face Job: the run's files are a private repository, its events are lines of the Job's log."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .runner import Runner
from .stores import hub_store
from .voices import Output


def run_job() -> int:
    """The secret HF_TOKEN opens the repository and the bucket."""
    token = os.environ["HF_TOKEN"]
    path = Path(tempfile.mkdtemp(prefix="aift-")) / "attempt"
    store = hub_store(token)
    return Runner(path, store, lambda run, incarnation: Output(run / "events.jsonl", incarnation), token=token).run()
