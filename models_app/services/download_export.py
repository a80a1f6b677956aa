"""Give an export's files out: one of them, or all as one archive; either can be taken up in the middle."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from finetune.core.errors import Conflict, invalid_field
from finetune.core.ranges import Content, one_file, tar_archive
from models_app.export_work import file_stem
from models_app.models import Export


@dataclass(frozen=True)
class ExportDownload:
    """What to send and what to call it."""

    content: Content
    filename: str
    content_type: str


def download_export(*, export: Export, file: str = "") -> ExportDownload:
    """`file` names one of the export's files; empty gives the only one, or a tar archive of all of them.

    Conflict when it is not ready or its files are gone; Invalid (field `file`) for a name it has not.
    """
    if export.status != Export.Status.READY:
        raise Conflict(f"This export is {export.status}; there is nothing to download yet.", code="export_not_ready")
    known = {found["path"]: found["sha256"] for found in export.files}
    if file and file not in known:
        raise invalid_field("file", f"This export has no file “{file[:80]}”. It has: {', '.join(sorted(known)[:10])}.")
    directory = export.directory
    if any(not (directory / name).exists() for name in known):
        raise Conflict("The files of this export are missing on the server. Export again.", code="file_missing")
    if file or len(known) == 1:
        name = file or next(iter(known))
        return ExportDownload(one_file(directory / name, known[name]), name.rpartition("/")[2], "application/octet-stream")
    stem = "-".join(word for word in (file_stem(export.model), export.format, export.quantization) if word)
    tag = hashlib.sha256(repr(sorted(known.items())).encode()).hexdigest()
    files = [(f"{stem}/{name}", directory / name) for name in sorted(known)]
    archive = tar_archive(files, time=int(export.created_at.timestamp()), tag=tag)
    return ExportDownload(archive, f"{stem}.tar", "application/x-tar")
