"""What the engine and its libraries printed."""

from __future__ import annotations

from pathlib import Path

from finetune.core import storage, store
from finetune.core.errors import invalid_field
from training.engine.rundir import RunDir
from training.models import TrainingJob

# More than this of one attempt's log is never read at once; the end is what matters.
READ_BYTES = 8 * 1024**2
PROVIDER_LOG = "provider.log"


def read_log(*, job: TrainingJob, tail: int | None = None, of: str = "engine") -> str:
    """With `of` "provider", what the provider's machine said beside that (empty where it runs here). The log of all attempts, oldest first, each under a heading when there are several; the last `tail` lines if given."""
    if of not in ("engine", "provider"):
        raise invalid_field("of", "Choose engine or provider.")
    attempts = [RunDir(storage.attempt_dir(job.pk, number)) for number in range(1, job.attempt + 1)]
    files = [(run.path.name, run.log_file if of == "engine" else run.path / PROVIDER_LOG) for run in attempts]
    texts = [(name, read_tail(file)) for name, file in files if store.grown(file).exists()]
    if len(texts) > 1:
        parts = [f"=== attempt {number} ===\n{text}" for number, text in texts]
    else:
        parts = [text for _, text in texts]
    whole = "\n".join(part.rstrip("\n") for part in parts)
    lines = whole.splitlines()
    kept = lines if tail is None else lines[-tail:] if tail > 0 else []
    return "\n".join(kept) + "\n" if kept else ""


def read_tail(file: Path, lines: int | None = None) -> str:
    """The end of a log file, at most READ_BYTES and `lines` lines; empty when it is missing."""
    try:
        with open(file, "rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - READ_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return text if lines is None else "\n".join(text.splitlines()[-lines:])
