"""What changed between two versions of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets_app.formats.differences import ADDED, CHANGED, REMOVED, Difference, compare, read_pairs
from datasets_app.models import Dataset
from datasets_app.services.preview_dataset import refuse_unready
from finetune.core.errors import Conflict, invalid_field

WHATS = (CHANGED, REMOVED, ADDED)
MOST_ROWS, MAX_LIMIT = 300_000, 100


@dataclass(frozen=True)
class Changes:
    """`counts` of all; `rows` {what, before, after} from `offset` of the `total` wanted ones."""

    counts: dict[str, int]
    rows: list[dict[str, Any]]
    total: int
    offset: int
    limit: int


def diff_versions(*, before: Dataset, after: Dataset, what: str = "", offset: int = 0, limit: int = 20) -> Changes:
    """The rows removed, added and changed from `before` to `after`, of one sort where `what` names it.

    Invalid for versions of different datasets, an unknown sort, or an offset or limit out of range; Conflict while one of
    them has no rows, or both have too many to compare while one waits.
    """
    if before.family != after.family or before.owner_id != after.owner_id:
        raise invalid_field("with", "Only versions of one dataset can be compared.")
    if what and what not in WHATS:
        raise invalid_field("what", f"Choose one of: {', '.join(WHATS)}.")
    if offset < 0 or not 1 <= limit <= MAX_LIMIT:
        raise invalid_field("limit" if offset >= 0 else "offset", f"An offset is 0 or more, a limit 1 to {MAX_LIMIT}.")
    for version in (before, after):
        refuse_unready(version, gated=True)
        if (version.rows or 0) > MOST_ROWS:
            raise Conflict(f"Versions of more than {MOST_ROWS:,} rows are not compared here. Download both.", code="too_many_rows")
    found = _compared(before.rows_file, _stamp(before.rows_file), after.rows_file, _stamp(after.rows_file))
    wanted = [pair for pair in found.pairs if not what or pair[0] == what]
    rows = read_pairs(before.rows_file, after.rows_file, wanted[offset : offset + limit])
    return Changes(found.counts(), rows, len(wanted), offset, limit)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        raise Conflict("The rows are missing on the server. Check the dataset again.", code="file_missing") from None


_compared: Callable[[Path, int, Path, int], Difference] = lru_cache(maxsize=4)(lambda old, _, new, __: compare(old, new))
