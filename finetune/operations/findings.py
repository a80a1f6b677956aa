"""What a check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, BAD = "ok", "warn", "bad"


@dataclass(frozen=True)
class Finding:
    """`level` is ok, warn or bad; `text` says what is, `remedy` what to do about it (empty when all is well)."""

    check: str
    level: str
    text: str
    remedy: str = ""
