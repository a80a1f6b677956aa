"""Take a file in: stored once, hashed, then read in the background."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from django.db import transaction

from accounts.limits import refuse_when_full
from accounts.models import User
from datasets_app.archives import Member, content_of_index, is_archive, is_index, opened_archive
from datasets_app.formats.mapping import MappingError, read_mapping
from datasets_app.formats.peers import BadPeer, read_index
from datasets_app.formats.source import Unreadable, check_head, suffix_of
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
from datasets_app.uploads import Received, Upload, received
from finetune.core import storage, store
from finetune.core.errors import invalid_field

NAME_LENGTH = 200


def upload_dataset(
    *, owner: User, file: Upload, name: str = "", description: str = "", mapping: str | dict[str, Any] | None = None
) -> Dataset:
    """Store the file and start reading it; without a name the dataset is called after the file.

    `mapping` (formats/mapping.py) is an object or that as JSON text. A ZIP archive stands for the one data file in it; with
    several it is refused (upload_batch makes a dataset of each). Refuses a mapping that makes no sense, a file name whose
    ending we can't read, an empty file, one that is no text (Invalid), and more than MAX_UPLOAD_BYTES (TooLarge), and
    a file for which the owner has no room left (Conflict);
    then nothing is stored.
    """
    if is_archive(file):
        with opened_archive(file) as members:
            member, described = _only(members)
            return upload_dataset(owner=owner, file=member, name=name, description=description, mapping=mapping or described)
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
        refuse_when_full(owner, incoming=upload.bytes)
        return _keep(upload, suffix, Dataset(owner=owner, **values))


def _only(members: list[Member]) -> tuple[Member, dict[str, Any] | None]:
    """The one data file of an archive and what a dataset_info.json beside it says of it."""
    data = [member for member in members if not is_index(member)]
    if len(data) != 1:
        names = ", ".join(member.name for member in data[:5]) + (" and more" if len(data) > 5 else "")
        words = f"The archive holds {len(data):,} files ({names}). Upload it as a batch to make a dataset of each."
        raise invalid_field("file", words if data else "The archive holds no data file.")
    index = next((member for member in members if is_index(member)), None)
    try:
        return data[0], read_index(content_of_index(index)).get(data[0].name) if index else None
    except BadPeer as error:
        raise invalid_field("file", str(error)) from None


def _keep(upload: Received, suffix: str, dataset: Dataset) -> Dataset:
    """Row and file together or neither."""
    dataset.bytes, dataset.content_hash = upload.bytes, upload.sha256
    try:
        with transaction.atomic():
            dataset.save()
            with storage.staged_dir(dataset.directory) as folder:
                storage.store_once(upload.path, upload.sha256, folder / f"original{suffix}")
        store.publish(dataset.directory / f"original{suffix}")  # not within the transaction: it may take a while
        ingest.delay_on_commit(dataset.pk)
    except BaseException:
        if dataset.pk:
            Dataset.objects.filter(pk=dataset.pk).delete()
            storage.remove_tree(dataset.directory)
        storage.forget_blob(upload.sha256)
        raise
    return dataset
