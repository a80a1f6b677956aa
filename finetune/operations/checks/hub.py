"""The Hugging Face Hub can be reached; an installation without it works, but downloads nothing."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from finetune.core.errors import Unavailable
from finetune.core.hub_reach import reach
from finetune.operations.findings import OK, WARN, Finding

NAME = "hub"
SECONDS = 4.0


def examine() -> Iterator[Finding]:
    try:
        reach(seconds=SECONDS)
    except Unavailable as trouble:
        remedy = "Nothing, if it is meant so: uploads and models of the local cache work. Else look at the network or HF_ENDPOINT."
        yield Finding(NAME, WARN, f"{trouble}: nothing can be fetched from the Hub or published there.", remedy)
    else:
        yield Finding(NAME, OK, f"{settings.HF_ENDPOINT} answers.")
