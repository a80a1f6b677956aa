"""Show what a mapping would make of a dataset's first rows, before the file is read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from datasets_app.formats.bundle import open_source, rows_of
from datasets_app.formats.jsonrows import Row
from datasets_app.formats.mapping import MappingError, read_mapping, suggest
from datasets_app.formats.picking import columns_of, fields_of, options_of
from datasets_app.formats.problems import RowError, excerpt_of
from datasets_app.formats.rowsfile import decode
from datasets_app.formats.schemas import Shape, detect, normalise
from datasets_app.formats.source import Unreadable
from datasets_app.models import Dataset
from finetune.core.errors import Conflict, invalid_field

LOOKED_AT = 50
SHOWN = 5


@dataclass(frozen=True)
class MappedRow:
    """One raw row, and the normalised one or why there is none."""

    line: int | None
    raw: str
    row: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class MappingPreview:
    """What the first rows become; `format` is "" and `message` says why where they are no format we know."""

    columns: list[str]
    format: str
    kind: str
    rows: list[MappedRow]
    message: str = ""


def preview_mapping(*, dataset: Dataset, mapping: str | dict[str, Any] | None = None) -> MappingPreview:
    """The first rows as the mapping makes them. Nothing is stored.

    Refuses a mapping that makes no sense (Invalid) and a dataset whose file is not there yet (Conflict).
    """
    try:
        fields = read_mapping(mapping)
    except MappingError as error:
        raise invalid_field("mapping", str(error)) from None
    try:
        with open_source(dataset.original_file) as source:
            items = list(islice(rows_of(source, options_of(fields).get("document", "line")), LOOKED_AT))
    except (FileNotFoundError, Unreadable):
        raise Conflict("The dataset's file is not here yet.", code="file_missing") from None
    return _preview(items, fields)


def _preview(items: list[Any], mapping: dict[str, Any]) -> MappingPreview:
    raw = [item.data for item in items if isinstance(item, Row)]
    columns = list(dict.fromkeys(name for row in raw for name in row))[:200]
    if not fields_of(mapping) and detect(raw, mapping) is None:
        mapping = suggest(columns) | mapping
    absent = [column for column in columns_of(mapping) if raw and column not in columns]
    shape = detect(raw, mapping) if not absent else None
    message = ""
    if absent:
        message = f"The first rows have no column “{absent[0]}”."
    elif shape is None:
        message = "These fields are no format yet. Fill the prompt and the completion, or the list of turns, or the text."
    rows = [_mapped(item, shape, mapping) for item in items[:SHOWN]]
    return MappingPreview(columns, shape.format if shape else "", shape.kind if shape else "", rows, message)


def _mapped(item: Any, shape: Shape | None, mapping: dict[str, Any]) -> MappedRow:
    if not isinstance(item, Row):
        return MappedRow(item.line, item.excerpt, error=item.message)
    raw = excerpt_of(item.data)
    if shape is None:
        return MappedRow(item.line, raw)
    try:
        row = normalise(shape, item.data, mapping, lambda *warning: None)
    except RowError as error:
        return MappedRow(item.line, raw, error=error.message)
    return MappedRow(item.line, raw, decode({"line": item.line, **row.values}))
