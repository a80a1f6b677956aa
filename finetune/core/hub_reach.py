"""Whether the Hub answers at all: the part of its door that `manage.py doctor` goes through."""

from __future__ import annotations

import threading
from typing import Any

from django.conf import settings

from finetune.core.errors import Unavailable


def reach(*, seconds: float) -> None:
    """Ask the Hub for anything, without a token. Unavailable, in words, unless it answers in time; a name server that hangs
    is not waited for either."""
    outcome: list[Unavailable | None] = []
    thread = threading.Thread(target=lambda: outcome.append(_ask(seconds)), daemon=True)
    thread.start()
    thread.join(seconds + 1)
    trouble = outcome[0] if outcome else Unavailable(f"No answer from {settings.HF_ENDPOINT} within {seconds:.0f} s")
    if trouble:
        raise trouble


def _ask(seconds: float) -> Unavailable | None:
    import httpx2
    from huggingface_hub import get_session
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        answer: Any = get_session().head(settings.HF_ENDPOINT, timeout=seconds, follow_redirects=False)
    except OfflineModeIsEnabled:
        return Unavailable("This server is set to work offline (HF_HUB_OFFLINE)")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return Unavailable(f"{settings.HF_ENDPOINT} can't be reached ({type(error).__name__})")
    return Unavailable(f"{settings.HF_ENDPOINT} answers with status {answer.status_code}") if answer.status_code >= 500 else None
