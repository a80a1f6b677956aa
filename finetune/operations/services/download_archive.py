"""Give a person the archive of their data."""

from __future__ import annotations

from accounts import audit
from accounts.models import DataArchive, User
from finetune.core import store
from finetune.core.errors import Conflict
from finetune.core.ranges import Content, one_file


def download_archive(*, user: User) -> tuple[Content, str]:
    """Its bytes, which can be taken up in the middle, and a name for the file. Conflict when there is none that is ready and whole."""
    archive = DataArchive.objects.for_user(user).filter(status=DataArchive.Status.READY).first()
    if archive is None or not archive.can_be_downloaded or not store.here(archive.file).exists():
        raise Conflict("There is no archive to download. Ask for a new one.", code="no_archive")
    audit.record("download data", actor=user, target=user)
    return one_file(archive.file, archive.sha256), f"aifinetune-{user.username}-{archive.created_at:%Y-%m-%d}.zip"
