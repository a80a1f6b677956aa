"""Whether a dataset's rows or a model's weights are still the same, told in milliseconds whatever their size.

A fingerprint covers each file's name, its size and blocks spread evenly over it: any retraining, conversion or edit that we
know of changes it. It is no proof against somebody who forges files; it is there to notice what changed by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.models import TrainingJob
from training.run_files import split_files

BLOCKS, BLOCK_BYTES = 64, 4096
WEIGHTS = ("*.safetensors", "*.bin")


def inputs_of(job: TrainingJob) -> dict[str, Any]:
    """{dataset_hash, rows, base_revision, weights} of what the job would learn from now; "" where files are missing."""
    directory = job.model.directory
    weights = sorted(path for pattern in WEIGHTS for path in directory.glob(pattern))
    return {
        "dataset_hash": job.dataset.content_hash,
        "rows": fingerprint([job.dataset.split_file(split) for split in split_files(job)]),
        "base_revision": job.model.revision,
        "weights": fingerprint(weights),
    }


def fingerprint(files: Iterable[Path]) -> str:
    """One hash over some files; "" when there are none, or one of them is missing."""
    digest, found = hashlib.sha256(), False
    try:
        for path in files:
            found = True
            _add(digest, path)
    except OSError:
        return ""
    return digest.hexdigest() if found else ""


def _add(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"{path.name}:{size}\n".encode())
    with open(path, "rb") as file:
        for index in range(BLOCKS):
            file.seek(index * max(0, size - BLOCK_BYTES) // (BLOCKS - 1))
            digest.update(file.read(BLOCK_BYTES))
            if size <= BLOCK_BYTES:
                return
