"""The part of the Hub's door that data sets go through: what a repository holds, and one file of it at a time.

Refusals are in words; nothing waits for ever: a request may take 10 s, a download as long between two pieces (the client tries five times).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.core.hub import TIMEOUT_SECONDS
from finetune.core.hub_words import translated

CHUNK = 1024**2  # the client's own 10 MB would tell nothing for minutes on a slow line
OnBytes = Callable[[int], None]  # bytes that came since the last call; may raise to stop


@dataclass(frozen=True)
class HubListing:
    """What a data set repository holds at one commit: path → bytes, and the `configs` of its card."""

    commit: str
    files: dict[str, int]
    configs: list[dict[str, Any]] = field(default_factory=list)


def list_dataset(repo_id: str, revision: str = "", token: str = "") -> HubListing:
    """The files of a data set repository. Invalid: no such name or revision; Forbidden: gated; Unavailable: no proper answer."""
    from huggingface_hub import HfApi

    with translated(repo_id, revision, dataset=True):
        api = HfApi(endpoint=settings.HF_ENDPOINT, token=token or False)
        info = api.dataset_info(repo_id, revision=revision or None, files_metadata=True, timeout=TIMEOUT_SECONDS)
        card = info.card_data.to_dict() if info.card_data else {}
        configs = [item for item in card.get("configs") or [] if isinstance(item, dict)]
        return HubListing(str(info.sha), {item.rfilename: item.size or 0 for item in info.siblings or []}, configs)


def download_file(repo_id: str, path: str, commit: str, folder: Path, on_bytes: OnBytes, token: str = "") -> Path:
    """One file of a commit, below `folder`; a broken download is taken up again. Raises as `list_dataset` does."""
    from huggingface_hub import HfApi, constants

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    with translated(repo_id, commit, dataset=True):
        api = HfApi(endpoint=settings.HF_ENDPOINT, token=token or False)
        bar: Any = bar_that_tells(on_bytes)
        return Path(api.hf_hub_download(
            repo_id, path, repo_type="dataset", revision=commit, local_dir=folder, etag_timeout=TIMEOUT_SECONDS, tqdm_class=bar
        ))  # fmt: skip


def bar_that_tells(on_bytes: OnBytes) -> type:
    """A class the client takes for a progress bar; it reports bytes and draws nothing."""

    class Bar:
        """What the client needs of a tqdm bar; it draws nothing."""

        def __init__(self, *args: Any, **kwargs: Any):
            self.total, self.n, self.disable = kwargs.get("total"), kwargs.get("initial") or 0, False

        def update(self, count: float | None = 1) -> None:
            self.n += count or 0
            on_bytes(int(count or 0))

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    return Bar
