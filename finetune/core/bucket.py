"""The door to the bucket: an S3 (or whatever speaks its protocol) through django-storages. Names of objects are relative to STORAGE_URL.

What goes wrong there comes back as Unavailable; asking again later may help. A missing object is Missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import storages

from finetune.core.errors import Unavailable
from finetune.core.logs import redact

SILENT = "store_unavailable"  # the code of a refusal that may pass
MOST_AT_ONCE = 1000  # objects that one request may delete


class Missing(Unavailable):
    """There is no such object (any more)."""


def put(name: str, content: BinaryIO) -> None:
    """Store the content under this name, whole or not at all."""
    with _asking():
        _storage().save(_full(name), File(content))


def get(name: str, target: Path) -> None:
    """Write the object's bytes to a file here."""
    with _asking():
        _storage().bucket.download_file(_full(name), str(target))


def copy(name: str, target: str) -> None:
    """The same bytes under another name, without sending them."""
    with _asking():
        bucket = _storage().bucket
        bucket.copy({"Bucket": bucket.name, "Key": _full(name)}, _full(target))


def names_below(prefix: str) -> Iterator[tuple[str, datetime]]:
    """(name, when it was written) of every object whose name begins like this."""
    with _asking():
        for found in _storage().bucket.objects.filter(Prefix=_full(prefix)):
            yield found.key.removeprefix(_full("")), found.last_modified


def delete(names: list[str]) -> None:
    """Remove these objects; one that is gone already is no error."""
    with _asking():
        for start in range(0, len(names), MOST_AT_ONCE):
            keys = [{"Key": _full(name)} for name in names[start : start + MOST_AT_ONCE]]
            _storage().bucket.delete_objects(Delete={"Objects": keys, "Quiet": True})


def _storage() -> Any:
    return storages["shared"]


def _full(name: str) -> str:
    return f"{settings.STORAGE_PREFIX}{name}"


@contextmanager
def _asking() -> Iterator[None]:
    """Errors of boto become ours. It is imported only where there is a bucket to ask."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code == "NoSuchKey" or (code == "404" and error.operation_name == "HeadObject"):
            raise Missing("Files are missing in the shared store.", code="file_missing") from error
        raise Unavailable(f"The shared store refused: {redact(str(error))}", code=SILENT) from error
    except (BotoCoreError, Boto3Error) as error:
        raise Unavailable(f"The shared store does not answer: {redact(str(error))}", code=SILENT) from error
