"""Bringing a data set's files from the Hub into its directory; what the background reader does first for an import."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from django.conf import settings

from accounts.stored_token import stored_token
from datasets_app.formats.bundle import SUFFIX, write_bundle
from datasets_app.formats.hubfiles import NoSuchFiles, choose_files
from datasets_app.formats.source import Unreadable, check_head, suffix_of
from datasets_app.models import Dataset
from finetune.core import hub_datasets, storage, store
from finetune.core.checksums import sha256_of
from finetune.core.errors import TooLarge, invalid_field

REPORT_EVERY = 0.3  # seconds
OnProgress = Callable[[int, int], None]


def fetch_files(dataset: Dataset, on_progress: OnProgress) -> dict[str, object]:
    """Download the files that the dataset's origin names and store them; gives the values of the row that are known now.

    Several files become one uncompressed ZIP. Raises the door's refusals, Invalid for a subset or split that is not there, TooLarge.
    """
    wanted = dataset.origin_detail
    repo_id, token = wanted["repo_id"], stored_token(dataset.owner)
    listing = hub_datasets.list_dataset(repo_id, wanted.get("revision", ""), token)
    try:
        chosen = choose_files(listing.files, listing.configs, wanted.get("subset", ""), wanted.get("split", ""))
    except NoSuchFiles as error:
        raise invalid_field(error.field, str(error)) from None
    total = sum(listing.files[path] for path in chosen)
    if total > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(
            f"These files are {total / 1000**2:,.0f} MB together; the limit is {settings.MAX_UPLOAD_BYTES / 1000**2:,.0f} MB."
        )
    dataset.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".hub-", dir=dataset.directory) as folder:
        counted = _Counted(total, on_progress)
        files = [_fetched(repo_id, path, listing.commit, Path(folder), counted, token) for path in chosen]
        name = _store(dataset, files, Path(folder))
    kept = dataset.directory / f"original{_suffix(name)}"
    store.publish(kept, beat=lambda: on_progress(total, total))
    detail = {**wanted, "commit": listing.commit, "files": chosen[:1000]}
    return {"source_name": name, "bytes": kept.stat().st_size, "content_hash": dataset.content_hash, "origin_detail": detail}


def _fetched(repo_id: str, path: str, commit: str, folder: Path, counted: _Counted, token: str) -> tuple[str, Path]:
    file = hub_datasets.download_file(repo_id, path, commit, folder, counted, token)
    try:
        check_head(file, suffix_of(file.name))
    except Unreadable as error:
        raise invalid_field("repo_id", f"{path}: {error}") from None
    return path, file


class _Counted:
    """Bytes that came, told a few times a second."""

    def __init__(self, total: int, on_progress: OnProgress):
        self.total = total
        self.done = 0
        self.told = 0.0
        self.on_progress = on_progress

    def __call__(self, more: int) -> None:
        self.done += more
        if time.monotonic() - self.told >= REPORT_EVERY:
            self.told = time.monotonic()
            self.on_progress(min(self.done, self.total), self.total)


def _store(dataset: Dataset, files: list[tuple[str, Path]], folder: Path) -> str:
    """Put the original in its place; gives the name it has for people."""
    if len(files) == 1:
        name, file = PurePosixPath(files[0][0]).name[-255:], files[0][1]
    else:
        name, file = f"{dataset.origin_detail['repo_id'].rpartition('/')[2][:240]}{SUFFIX}", folder / "bundle"
        write_bundle(file, files)
    dataset.content_hash = sha256_of(file)
    storage.store_once(file, dataset.content_hash, dataset.directory / f"original{_suffix(name)}")
    return name


def _suffix(name: str) -> str:
    return SUFFIX if name.endswith(SUFFIX) else suffix_of(name)
