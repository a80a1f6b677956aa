"""Take several files in; one bad file never spoils the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from accounts.models import User
from datasets_app.archives import content_of_index, is_archive, is_index, opened_archive
from datasets_app.formats.peers import INDEX, BadPeer, read_index
from datasets_app.models import Dataset
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.uploads import Upload
from finetune.core.errors import DomainError, invalid_field

Given = str | dict[str, Any] | None


@dataclass(frozen=True)
class Uploaded:
    """What became of one file: a dataset, the refusal, or a note where it only describes the others."""

    filename: str
    dataset: Dataset | None = None
    error: DomainError | None = None
    note: str = ""


def upload_batch(*, owner: User, files: Iterable[Upload], description: str = "", mapping: Given = None) -> list[Uploaded]:
    """One outcome for each file, in order; a .zip counts as the files in it. Refuses only an empty list.

    LLaMA-Factory's dataset_info.json is no data: its entries are the mappings of the files it names, here and in its archive.
    """
    given = list(files)
    if not given:
        raise invalid_field("files", "Choose at least one file.")
    together = _Together(owner, description, mapping)
    plain = [file for file in given if not is_archive(file)]
    index = together.read(plain)
    outcomes = []
    for file in given:
        outcomes += together.unpacked(file, index) if is_archive(file) else [together.one(file, file.name or "", index, plain)]
    return outcomes


class _Index:
    """The mappings of the files that dataset_info.json names, or why it can't be read."""

    def __init__(self, mappings: dict[str, Any] | None = None, error: DomainError | None = None):
        self.mappings = mappings or {}
        self.error = error


class _Together:
    """What all files of one upload share."""

    def __init__(self, owner: User, description: str, mapping: Given):
        self.owner = owner
        self.description = description
        self.mapping = mapping

    def read(self, files: Iterable[Upload]) -> _Index:
        """The index among these files, if one is there."""
        found = next((file for file in files if is_index(file)), None)
        if found is None:
            return _Index()
        try:
            return _Index(read_index(content_of_index(found)))
        except BadPeer as error:
            return _Index(error=invalid_field("file", str(error)))
        except DomainError as error:
            return _Index(error=error)

    def one(self, file: Upload, filename: str, index: _Index, beside: Iterable[Upload]) -> Uploaded:
        if is_index(file):
            return _followed(filename, index, beside)
        own = index.mappings.get(PurePosixPath(file.name or "").name)
        try:
            dataset = upload_dataset(owner=self.owner, file=file, description=self.description, mapping=self.mapping or own)
        except DomainError as error:
            return Uploaded(filename, error=error)
        return Uploaded(filename, dataset, note=f"As {INDEX} says." if own is not None and not self.mapping else "")

    def unpacked(self, file: Upload, outer: _Index) -> list[Uploaded]:
        """The files of an archive, or the one refusal of it. Names inside it are only shown."""
        try:
            with opened_archive(file) as members:
                index = self.read(members)
                index = index if index.mappings or index.error else outer
                return [self.one(member, member.path, index, members) for member in members]
        except DomainError as error:
            return [Uploaded(file.name or "", error=error)]


def _followed(filename: str, index: _Index, beside: Iterable[Upload]) -> Uploaded:
    if index.error:
        return Uploaded(filename, error=index.error)
    names = {PurePosixPath(file.name or "").name for file in beside}
    count = len(names & set(index.mappings))
    if not count:
        return Uploaded(filename, error=invalid_field("file", f"{INDEX} names none of these files. Upload it together with them."))
    return Uploaded(filename, note=f"Followed for {count} file{'s' if count > 1 else ''}.")
