"""The part of the Hub's door that a model's files come through: one file at a time, taken up where it stopped.

The client's own cache begins a file anew when its process dies; a shard has gigabytes, so we keep the partial file and ask it to go on.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from finetune.core.checksums import sha256_of
from finetune.core.errors import Unavailable
from finetune.core.hub import TIMEOUT_SECONDS
from finetune.core.hub_datasets import CHUNK, OnBytes, bar_that_tells
from finetune.core.hub_models import HubFile
from finetune.core.hub_words import translated

logger = logging.getLogger(__name__)


def fetch_file(repo_id: str, file: HubFile, commit: str, partial: Path, on_bytes: OnBytes, *, token: str = "") -> None:
    """Complete `partial` with this file's bytes. A dropped connection is taken up again five times, then it is Unavailable.

    `on_bytes` hears of the bytes that came and may raise to stop; what is there stays for the next call. A file that is not
    what the Hub promised is removed and Unavailable too.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import get_hf_file_metadata, http_get
    from huggingface_hub.utils import build_hf_headers

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    bar: Any = bar_that_tells(on_bytes)
    with translated(repo_id, commit), partial.open("ab") as target:
        there = target.tell()
        if there > file.bytes:
            target.truncate(0)
            there = 0
        url = hf_hub_url(repo_id, file.path, revision=commit, endpoint=settings.HF_ENDPOINT)
        found = get_hf_file_metadata(url, token=token or False, timeout=TIMEOUT_SECONDS, endpoint=settings.HF_ENDPOINT)
        same_host = urlsplit(found.location)[:2] == urlsplit(settings.HF_ENDPOINT)[:2]
        headers = build_hf_headers(token=(token or False) if same_host else False)  # the token is for the Hub, not for its CDN
        try:
            http_get(
                found.location, target, resume_size=there, headers=headers, expected_size=file.bytes, displayed_filename=file.path,
                tqdm_class=bar,
            )  # fmt: skip
        except OSError as error:
            if error.errno:
                raise
            logger.warning("%s of %s is not as long as it should be.", file.path, repo_id)  # _verify says so
    _verify(file, partial)


def _verify(file: HubFile, partial: Path) -> None:
    if partial.stat().st_size == file.bytes and (not file.sha256 or sha256_of(partial) == file.sha256):
        return
    partial.unlink()
    words = f"{file.path} arrived damaged: it is not what the Hub says it should be. It was thrown away; download it again."
    raise Unavailable(words, code="damaged", retry_after=5)
