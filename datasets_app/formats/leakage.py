"""Rows of one split that stand in another too: word for word, the same question, or nearly the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datasets_app.formats.minhash import Sketches
from datasets_app.formats.rowsfile import iterate
from datasets_app.formats.splits import UNUSED, answer_text, digest, prompt_text, whole_text

EXAMPLES = 20
NEARLY_AMONG = 50_000  # rows whose sketches are compared


@dataclass
class Leakage:
    """Rows whose twin stands in a split before theirs. `near` is None where there were too many rows to compare."""

    rows: int = 0
    prompts: int = 0
    near: int | None = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def keep(self, what: str, split: str, line: int, twin: tuple[str, int]) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append({"what": what, "split": split, "line": line, "twin_split": twin[0], "twin_line": twin[1]})


def find_leakage(rows_file: Path, split_of: Callable[[int], str], on_row: Callable[[], None] = lambda: None) -> Leakage:
    """Look through all rows once. `split_of` gives the split of a row by its number; `on_row` is called for each."""
    found, sketches, places = Leakage(), Sketches(NEARLY_AMONG), []
    rows: dict[bytes, tuple[str, int]] = {}
    prompts: dict[bytes, tuple[str, int]] = {}
    number = -1
    for batch in iterate(rows_file):
        for row in batch:
            number += 1
            on_row()
            split = split_of(number)
            if split == UNUSED:
                continue
            place = (split, row["line"])
            same = rows.setdefault(digest(whole_text(row)), place)
            asked = prompts.setdefault(digest(prompt_text(row)), place)
            if same[0] != split:
                found.rows += 1
                found.keep("row", *place, same)
            elif asked[0] != split:
                found.prompts += 1
                found.keep("prompt", *place, asked)
            if sketches.add(prompt_text(row) + "\n" + answer_text(row)):
                places.append(place)
    _nearly(found, sketches, places)
    return found


def _nearly(found: Leakage, sketches: Sketches, places: list[tuple[str, int]]) -> None:
    if sketches.full:
        found.near = None
        return
    near = 0
    for later, earlier, _ in sketches.pairs():
        if places[later][0] != places[earlier][0]:
            near += 1
            found.keep("near", *places[later], places[earlier])
    found.near = near
