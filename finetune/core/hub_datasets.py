"""The part of the Hub's door that data sets go through: what a repository holds, and one file of it at a time.

Refusals are in words; nothing waits for ever: a request may take 10 s, a download as long between two pieces (the client tries five times).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.core.errors import DomainError, Forbidden, Invalid, Unavailable, invalid_field
from finetune.core.hub import TIMEOUT_SECONDS

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

    with _translated(repo_id, revision):
        api = HfApi(endpoint=settings.HF_ENDPOINT, token=token or False)
        info = api.dataset_info(repo_id, revision=revision or None, files_metadata=True, timeout=TIMEOUT_SECONDS)
        card = info.card_data.to_dict() if info.card_data else {}
        configs = [item for item in card.get("configs") or [] if isinstance(item, dict)]
        return HubListing(str(info.sha), {item.rfilename: item.size or 0 for item in info.siblings or []}, configs)


def download_file(repo_id: str, path: str, commit: str, folder: Path, on_bytes: OnBytes, token: str = "") -> Path:
    """One file of a commit, below `folder`; a broken download is taken up again. Raises as `list_dataset` does."""
    from huggingface_hub import HfApi, constants

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    with _translated(repo_id, commit):
        api = HfApi(endpoint=settings.HF_ENDPOINT, token=token or False)
        bar: Any = _bar_that_tells(on_bytes)
        return Path(api.hf_hub_download(
            repo_id, path, repo_type="dataset", revision=commit, local_dir=folder, etag_timeout=TIMEOUT_SECONDS, tqdm_class=bar
        ))  # fmt: skip


def _bar_that_tells(on_bytes: OnBytes) -> type:
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


@contextmanager
def _translated(repo_id: str, revision: str) -> Iterator[None]:
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except DomainError:
        raise
    except errors.HFValidationError:
        raise invalid_field("repo_id", "A repository's name looks like owner/name.") from None
    except errors.GatedRepoError:
        link = f"{settings.HF_ENDPOINT}/datasets/{repo_id}"
        raise Forbidden(f"“{repo_id}” is gated. Ask for access at {link}, and save a token that has it in your settings.") from None
    except errors.RevisionNotFoundError:
        raise invalid_field("revision", f"“{repo_id}” has no revision “{revision[:60]}”.") from None
    except errors.RepositoryNotFoundError:
        words = f"There is no data set “{repo_id}” on the Hub, or it is private and your token may not read it."
        raise invalid_field("repo_id", words) from None
    except errors.HfHubHTTPError as error:
        raise _refusal(error.response.status_code, error.response.headers.get("Retry-After", "")) from None
    except errors.OfflineModeIsEnabled:
        raise Unavailable("This server is set to work offline (HF_HUB_OFFLINE), so the Hub is not asked.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise Unavailable("The Hugging Face Hub can't be reached. Check the network and try again.", retry_after=30) from None
    except ValueError:
        raise Unavailable("The Hugging Face Hub answered something unexpected. Try again later.", retry_after=30) from None


def _refusal(status: int, retry_after: str) -> Invalid | Forbidden | Unavailable:
    wait = int(retry_after) if retry_after.isdigit() else 30
    if status == 429:
        return Unavailable(f"The Hugging Face Hub asks us to slow down. Try again in {wait} s.", retry_after=wait)
    if status in (401, 403):
        return Forbidden("The Hugging Face Hub refused access. Check the token in your settings.")
    return Unavailable(f"The Hugging Face Hub has a problem (status {status}). Try again later.", retry_after=wait)
