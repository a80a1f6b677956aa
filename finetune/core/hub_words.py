"""What goes wrong between us and the Hub, in words: every call through the door is made inside `translated`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from finetune.core.errors import DomainError, Forbidden, Invalid, Unavailable, invalid_field

WAIT = 30  # seconds to suggest where the Hub does not say


@contextmanager
def translated(repo_id: str = "", revision: str = "", *, dataset: bool = False) -> Iterator[None]:
    """The client's errors become ours. Invalid: no such name or revision; Forbidden: no access; Unavailable: no proper answer.

    Our own errors and those of the disk pass through. No message holds what a request carried.
    """
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except DomainError:
        raise
    except errors.HFValidationError:
        raise invalid_field("repo_id", "A repository's name looks like owner/name.") from None
    except errors.GatedRepoError:
        raise gated(repo_id, dataset=dataset) from None
    except errors.RevisionNotFoundError:
        raise invalid_field("revision", f"“{repo_id}” has no revision “{revision[:60]}”.") from None
    except errors.RepositoryNotFoundError:
        kind = "data set" if dataset else "model"
        words = f"There is no {kind} “{repo_id}” on the Hub, or it is private and your token may not read it."
        raise invalid_field("repo_id", words, code="not_on_hub") from None
    except errors.HfHubHTTPError as error:
        raise refusal(error.response.status_code, error.response.headers.get("Retry-After", "")) from None
    except errors.OfflineModeIsEnabled:
        raise Unavailable("This server is set to work offline (HF_HUB_OFFLINE), so the Hub is not asked.", code="offline") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise Unavailable("The Hugging Face Hub can't be reached. Check the network and try again.", retry_after=WAIT) from None
    except ValueError:
        raise Unavailable("The Hugging Face Hub answered something unexpected. Try again later.", retry_after=WAIT) from None


def gated(repo_id: str, *, dataset: bool = False) -> Forbidden:
    """Access has to be asked for first; the link is where."""
    link = f"{settings.HF_ENDPOINT}/{'datasets/' if dataset else ''}{repo_id}"
    words = f"“{repo_id}” is gated. Ask for access at {link}, and save a token that has it in your settings."
    return Forbidden(words, code="gated")


def refusal(status: int, retry_after: str) -> Invalid | Forbidden | Unavailable:
    """The words for an HTTP status of the Hub's; `retry_after` is its header."""
    wait = int(retry_after) if retry_after.isdigit() else WAIT
    if status == 429:
        return Unavailable(f"The Hugging Face Hub asks us to slow down. Try again in {wait} s.", retry_after=wait)
    if status in (401, 403):
        return Forbidden("The Hugging Face Hub refused access. Check the token in your settings.")
    if status == 402:
        words = f"The Hugging Face Hub wants to be paid for this first. Add credit at {settings.HF_ENDPOINT}/settings/billing."
        return Forbidden(words, code="no_credit")
    if status == 400:
        return Invalid("The Hugging Face Hub did not accept this.")
    return Unavailable(f"The Hugging Face Hub has a problem (status {status}). Try again later.", retry_after=wait)
