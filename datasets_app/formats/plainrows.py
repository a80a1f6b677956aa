"""The quick way for large JSON Lines: rows that look like the file's first one are told by one pattern, and not parsed at all.

A pattern (plainshapes.py) describes the whole line: its keys in their order, the roles of a conversation and their turns, text that is
not blank, the escapes that JSON allows. What matches has nothing wrong with it. Most lines are told quicker still, by where their
quotes stand (quotes.py). Every line that neither tells is handed back, to be read the exact way; all ways store the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from datasets_app.formats import quotes
from datasets_app.formats.blocks import Block, Checked, nothing
from datasets_app.formats.picking import fields_of, options_of
from datasets_app.formats.plainshapes import MOST_EXTRA, Plain, plain_line
from datasets_app.formats.schemas import SHAPES, Shape
from datasets_app.formats.source import MAX_ROW_BYTES
from datasets_app.formats.threads import parent_column


def plain_of(head: bytes, shape: Shape, mapping: Mapping[str, Any]) -> Plain | None:
    """What the lines look like that begin a file, so that they can be told by a pattern; None where they can't."""
    line = head[: head.find(b"\n") + 1]
    if options_of(mapping) or not all(isinstance(pick, str) for pick in fields_of(mapping).values()):
        return None
    try:
        row, text = json.loads(line), line.decode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or parent_column(row) or any(_is_odd(name) for name in row) or not _is_alone(shape, row, mapping):
        return None
    plain = plain_line(text, row, shape, mapping)
    return plain if plain is not None and len(check(line, plain).lines) else None


def _is_odd(name: str) -> bool:
    return not name.isascii() or not name.isprintable() or '"' in name or "\\" in name


def _is_alone(shape: Shape, row: dict[str, Any], mapping: Mapping[str, Any]) -> bool:
    """Whether no other shape has a claim to such rows."""
    mapped = set(fields_of(mapping).values())
    ours = (set(row) - mapped) | {name for name in mapping if mapping[name] in row}
    others = [other for other in SHAPES if other is not shape and not all(set(group) & set(shape.fields) for group in other.needs)]
    return not any(all(set(group) & ours for group in other.needs) for other in others)


# --- one block --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lines:
    """Lines as Arrow strings, with their numbers."""

    numbers: Any
    texts: Any

    def of(self, mask: Any) -> _Lines:
        import pyarrow as pa

        return self if mask.all() else _Lines(self.numbers[mask], self.texts.filter(pa.array(mask)))

    def listed(self) -> list[tuple[int, bytes | None]]:
        return [(number, text.encode()) for number, text in zip(self.numbers.tolist(), self.texts.to_pylist(), strict=True)]


def check(body: Block | None, plain: Plain) -> Checked:
    """The good rows of a block, and the lines that need the exact way, numbered from 1."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if body is None:
        return nothing([(1, None)], 1)
    offsets = _offsets(body)
    count = len(offsets) - 1
    if len(body) > MAX_ROW_BYTES:  # one of them is too long, or nearly
        return nothing([(at + 1, bytes(body[start:stop])) for at, (start, stop) in enumerate(pairwise(offsets.tolist()))], count)
    lines, others = _lines_of(body, offsets)
    quick = quotes.told(body, offsets, plain.quoted) if plain.quoted and not others else None
    fits, coded = _told(lines, plain) if quick is None else _told_again(lines, plain, *quick)
    if not fits.all():
        others += lines.of(~fits).listed()
        lines, coded = lines.of(fits), coded[fits]
    if not len(lines.texts):
        return nothing(sorted(others), count)
    fine, columns = _looked_into(lines, plain, coded)
    if not fine.all():
        others += lines.of(~fine).listed()
        kept = pa.array(fine)
        lines, columns = lines.of(fine), {name: column.filter(kept) for name, column in columns.items()}
    empty = {name: pc.sum(pc.match_substring(lines.texts, sign)).as_py() or 0 for name, sign in plain.part.empties.items()}
    return Checked(pa.array(lines.numbers), columns, sorted(others), count, empty)


def _lines_of(body: Block, offsets: Any) -> tuple[_Lines, list[tuple[int, bytes | None]]]:
    """The lines of a block, those apart that are not UTF-8."""
    import numpy as np
    import pyarrow as pa

    count = len(offsets) - 1
    array = pa.BinaryArray.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(body)])
    numbers = np.arange(1, count + 1, dtype=np.int64)
    try:
        return _Lines(numbers, array.cast(pa.string())), []
    except pa.ArrowInvalid:
        raw = array.to_pylist()
        good = np.array([_is_utf8(line) for line in raw])
        texts = array.filter(pa.array(good)).cast(pa.string())
        return _Lines(numbers[good], texts), [(at + 1, raw[at]) for at in np.flatnonzero(~good).tolist()]


def _offsets(body: Block) -> Any:
    """Where the lines begin, and where the last one ends."""
    import numpy as np

    ends = np.flatnonzero(np.frombuffer(body, np.uint8) == quotes.NEWLINE) + 1
    rest = [] if len(ends) and ends[-1] == len(body) else [len(body)]
    return np.concatenate([[0], ends, rest]).astype(np.int32)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _told(lines: _Lines, plain: Plain) -> tuple[Any, Any]:
    """Which lines are as plain as they look, and which of them have characters written as codes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    plainest = pc.match_substring_regex(lines.texts, plain.pattern).to_numpy(zero_copy_only=False)
    coded = np.zeros(len(plainest), bool)
    if not plainest.all():
        rest = lines.texts.filter(pa.array(~plainest))
        coded[~plainest] = pc.match_substring_regex(rest, plain.pattern_with_codes).to_numpy(zero_copy_only=False)
    return plainest | coded, coded


def _told_again(lines: _Lines, plain: Plain, fits: Any, coded: Any) -> tuple[Any, Any]:
    """The same, where most lines have been told by their quotes."""
    if not fits.all():
        more, their_coded = _told(lines.of(~fits), plain)
        coded[~fits] = their_coded
        fits[~fits] = more
    return fits, coded


def _looked_into(lines: _Lines, plain: Plain, coded: Any) -> tuple[Any, dict[str, Any]]:
    """Which rows are good after all, and their columns: what is written with codes is decoded, looked at and written the usual way."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = plain.columns_of(lines.texts)
    fine = np.ones(len(coded), bool)
    if "extra" in columns:
        fine &= pc.less_equal(pc.utf8_length(columns["extra"]), MOST_EXTRA).to_numpy(zero_copy_only=False)
    for odd in plain.part.odd(columns):
        fine &= ~odd.to_numpy(zero_copy_only=False)
    if "text" in columns:  # stored as what it says, not as JSON
        coded = pc.match_substring_regex(columns["text"], r"\\").to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(coded)
    for name in [name for name in columns if len(rows) and name != "extra"]:
        values = [plain.respelled(name, text) for text in columns[name].take(pa.array(rows)).to_pylist()]
        fine[rows[[value is None for value in values]]] = False
        columns[name] = pc.replace_with_mask(
            columns[name], pa.array(coded), pa.array([value or "" for value in values], pa.string())
        )
    return fine, columns
