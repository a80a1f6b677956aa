"""Mappings: our field ← their column."""

from __future__ import annotations

import json
from typing import Any

from datasets_app.formats.schemas import FIELDS, shapes_with

# Column names seen in the wild → the field they usually mean; used for suggestions only, never silently.
USUAL_NAMES = {
    "prompt": ("prompt", "question", "query", "input", "instruction", "problem", "user"),
    "completion": ("completion", "answer", "response", "output", "solution", "assistant", "reply", "target"),
}


class MappingError(ValueError):
    """The mapping makes no sense by itself, whatever the file holds."""


def read_mapping(given: str | dict[str, Any] | None) -> dict[str, str]:
    """A mapping as people send it (JSON text or an object) → {our field: their column}; raises MappingError."""
    if given in (None, "", {}):
        return {}
    mapping = _parsed(given) if isinstance(given, str) else given
    if not isinstance(mapping, dict):
        raise MappingError('A mapping is an object such as {"prompt": "question", "completion": "answer"}.')
    for field, column in mapping.items():
        if field not in FIELDS:
            raise MappingError(f"“{field}” is not a field we know. Known are: {', '.join(FIELDS)}.")
        if not isinstance(column, str) or not column.strip() or "\x00" in column:
            raise MappingError(f"“{field}” must name a column of your file.")
    _no_column_twice(mapping)
    if not shapes_with(mapping):
        raise MappingError(f"{', '.join(mapping)} do not belong to one format together. Map the fields of one format only.")
    return mapping


def suggest(columns: list[str]) -> dict[str, str]:
    """A prompt/completion mapping that fits these columns, or nothing."""
    lower = {column.lower(): column for column in reversed(columns)}
    found = {field: next((lower[name] for name in names if name in lower), "") for field, names in USUAL_NAMES.items()}
    return found if all(found.values()) and found != {"prompt": "prompt", "completion": "completion"} else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_field_twice)
    except MappingError:
        raise
    except (ValueError, RecursionError):
        raise MappingError('The mapping is not valid JSON. Write it like {"prompt": "question", "completion": "answer"}.') from None


def _no_field_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = [field for field, _ in pairs]
    for field in fields:
        if fields.count(field) > 1:
            raise MappingError(f"“{field}” is mapped twice.")
    return dict(pairs)


def _no_column_twice(mapping: dict[str, str]) -> None:
    columns = list(mapping.values())
    for column in columns:
        if columns.count(column) > 1:
            raise MappingError(f"The column “{column}” is mapped to two fields.")
