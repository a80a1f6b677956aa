"""The columns of a file: which there are, how many rows have something there, and which of them nothing is learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from datasets_app.formats.picking import columns_of
from datasets_app.formats.problems import Problem
from datasets_app.formats.schemas import SHAPES, Shape, apply_mapping

MOST_COLUMNS, NAMED = 500, 40
_EMPTY: tuple[Any, ...] = (None, "", [], {})


class Columns:
    """Sees every usable row as it was read. `mapping` and `shape` say which columns are in use."""

    def __init__(self, shape: Shape, mapping: Mapping[str, Any]):
        self.mapping = mapping
        self.used = set(columns_of(mapping)) | (set(shape.fields) - set(mapping))
        self.others = [other for other in SHAPES if other is not shape and not _within(other, shape)]
        self.names: dict[str, None] = {}
        self.filled: Counter[str] = Counter()
        self._alone: set[tuple[str, ...]] = set()  # names that no other shape has a claim to

    def row(self, raw: dict[str, Any]) -> str:
        """Count one row. Which other format it has as well, in words; "" as a rule."""
        if len(self.names) < MOST_COLUMNS:
            self.names.update(dict.fromkeys(raw))
            for name, value in raw.items():
                if value not in _EMPTY:
                    self.filled[name] += 1
        names = tuple(raw)
        return "" if names in self._alone else self._other(names, raw)

    def rows(self, names: tuple[str, ...], count: int, empty: Mapping[str, int]) -> None:
        """Count many rows that have these columns and no other shape."""
        self.names.update(dict.fromkeys(names))
        self.filled.update({name: count - empty.get(name, 0) for name in names})

    def _other(self, names: tuple[str, ...], raw: dict[str, Any]) -> str:
        ours = apply_mapping(raw, self.mapping)
        claims = [other for other in self.others if all(any(name in ours for name in group) for group in other.needs)]
        if not claims and len(self._alone) < MOST_COLUMNS and len(names) < MOST_COLUMNS:
            self._alone.add(names)
        other = next((other for other in claims if other.accepts(ours)), None)
        if other is None:
            return ""
        listed = ", ".join(name for group in other.needs for name in group if name in ours)
        return f"The row also has the fields of {other.format} ({listed}); they are not used."

    def findings(self) -> Iterator[Problem]:
        """What is worth saying of the columns as a whole."""
        unused = [name for name in self.names if name not in self.used]
        if unused:
            listed = ", ".join(f"“{name[:40]}”" for name in unused[:8]) + (" and more" if len(unused) > 8 else "")
            yield Problem("unused_columns", f"Nothing is learned from {listed}.", line=1)
        lower: dict[str, str] = {}
        for name in self.names:
            twin = lower.setdefault(name.strip().lower(), name)
            if twin != name:
                words = f"“{twin}” and “{name}” are two columns that differ by case or blanks only."
                yield Problem("similar_columns", words, line=1, column=name)

    def as_dict(self) -> dict[str, int]:
        """Column → rows that have something there."""
        return dict(self.filled.most_common(NAMED))


def _within(other: Shape, shape: Shape) -> bool:
    """Whether what makes a row fit `other` is part of what `shape` uses anyway."""
    return all(set(group) & set(shape.fields) for group in other.needs)
