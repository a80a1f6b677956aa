"""Take a file in: stored once, hashed, then read in the background."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

from django.db import transaction

from accounts.models import User
from datasets_app.formats.mapping import MappingError, read_mapping
from datasets_app.formats.source import Unreadable, check_head, suffix_of
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
from datasets_app.uploads import Received, Upload, received
from finetune.core import storage
from finetune.core.errors import invalid_field

NAME_LENGTH = 200


def upload_dataset(
    *, owner: User, file: Upload, name: str = "", description: str = "", mapping: str | dict[str, Any] | None = None
) -> Dataset:
    """Store the file and start reading it; without a name the dataset is called after the file.

    `mapping` is {our field: their column} or that as JSON text. Refuses a mapping that makes no sense, a file name whose
    ending we can't read, an empty file, one that is no text (Invalid), and more than MAX_UPLOAD_BYTES (TooLarge);
    then nothing is stored.
    """
    filename = PurePath(file.name or "").name.replace("\x00", "")
    try:
        fields, suffix = read_mapping(mapping), suffix_of(filename)
    except MappingError as error:
        raise invalid_field("mapping", str(error)) from None
    except Unreadable as error:
        raise invalid_field("file", str(error)) from None
    with received(file) as upload:
        try:
            check_head(upload.path, suffix)
        except Unreadable as error:
            raise invalid_field("file", str(error)) from None
        title = name.strip() or filename[: -len(suffix)] or filename
        values = {"name": title[:NAME_LENGTH], "description": description, "mapping": fields, "source_name": filename[-255:]}
        return _keep(upload, suffix, Dataset(owner=owner, **values))


def _keep(upload: Received, suffix: str, dataset: Dataset) -> Dataset:
    """Row and file together or neither."""
    dataset.bytes, dataset.content_hash = upload.bytes, upload.sha256
    try:
        with transaction.atomic():
            dataset.save()
            with storage.staged_dir(dataset.directory) as folder:
                os.replace(upload.path, folder / f"original{suffix}")
            ingest.delay_on_commit(dataset.pk)
    except BaseException:
        if dataset.pk:
            storage.remove_tree(dataset.directory)
        raise
    return dataset
