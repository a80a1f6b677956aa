"""Where files live under DATA_DIR. Every path the product uses is built here, from ids, never from names users gave."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from finetune.core import store


def dataset_dir(pk: int) -> Path:
    """datasets/<id>/: the original file and its Parquet forms."""
    return settings.DATA_DIR / "datasets" / str(pk)


def blob_file(sha256: str) -> Path:
    """blobs/<ab>/<sha-256>: what was uploaded, once however many datasets are made of the same bytes."""
    return settings.DATA_DIR / "blobs" / sha256[:2] / sha256


def store_once(path: Path, sha256: str, target: Path) -> None:
    """Give `target` these bytes: the stored copy where there is one, `path` moved there where there can be none.

    All are hard links to one file, so the file system counts who still needs it.
    """
    blob = blob_file(sha256)
    blob.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # it is there already, or this file system has no links
        os.link(path, blob)
    try:
        if blob.stat().st_size != path.stat().st_size:
            raise OSError("not the same bytes")
        os.link(blob, target)
    except OSError:
        os.replace(path, target)


def forget_blob(sha256: str) -> None:
    """Remove the stored copy if no dataset links to it any more. One that is linked to meanwhile loses its name only."""
    blob = blob_file(sha256)
    with suppress(OSError):
        if sha256 and blob.stat().st_nlink == 1:
            blob.unlink()


def model_dir(pk: int) -> Path:
    """models/<id>/: weights, tokenizer and manifest of a model we made."""
    return settings.DATA_DIR / "models" / str(pk)


def export_dir(pk: int) -> Path:
    """exports/<id>/: a model's files in another form."""
    return settings.DATA_DIR / "exports" / str(pk)


def archive_file(pk: int) -> Path:
    """archives/<id>.zip: everything of one person's, until it expires."""
    return settings.DATA_DIR / "archives" / f"{pk}.zip"


def job_dir(pk: int) -> Path:
    """runs/<job>/: one run directory for each attempt."""
    return settings.DATA_DIR / "runs" / str(pk)


def attempt_dir(pk: int, attempt: int) -> Path:
    """runs/<job>/<attempt>/: the run directory, the engine's API (docs/adr/0001)."""
    return job_dir(pk) / str(attempt)


def checkpoint_dir(pk: int, step: int) -> Path | None:
    """runs/<job>/<newest attempt that has it>/checkpoints/checkpoint-<step>/, here or in the shared store; None when no attempt has it
    (any more)."""
    found = {path.parent for path in job_dir(pk).glob(f"[0-9]*/checkpoints/checkpoint-{step}/seal.json")}
    found |= {path for path in store.published(job_dir(pk)) if path.name == f"checkpoint-{step}"}
    return max(found, key=lambda path: int(path.parts[-3]), default=None)


def place_of(path: Path) -> str:
    """A path that means the same on every machine: relative to DATA_DIR where it lies there."""
    return str(path.relative_to(settings.DATA_DIR) if path.is_relative_to(settings.DATA_DIR) else path)


def path_of(place: str) -> Path:
    """This machine's path of a place that another one named, with the files there."""
    return store.here(settings.DATA_DIR / place)


def run_state_dir() -> Path:
    """run/: sockets and pid files of this installation's processes."""
    path = settings.DATA_DIR / "run"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def staged_dir(target: Path) -> Iterator[Path]:
    """A fresh directory that becomes `target` when the block ends well, and vanishes when it raises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield staging
        staging.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def remove_tree(path: Path) -> None:
    """Delete a directory that may already be gone, also from the shared store."""
    shutil.rmtree(path, ignore_errors=True)
    store.forget(path)


def tree_bytes(path: Path) -> int:
    """Bytes of all files under a directory; 0 when it is missing."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.exists() else 0
