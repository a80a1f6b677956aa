"""JSON text → one row, strictly: what JSON forbids or leaves open is a problem of that line, never a crash."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from datasets_app.formats.problems import EXCERPT, Problem, RowError, printable
from datasets_app.formats.source import MAX_ROW_BYTES, Source, is_blank


@dataclass(frozen=True, slots=True)
class Row:
    """One raw row and the 1-based line it begins on."""

    line: int
    data: dict[str, Any]


def read_jsonl(source: Source) -> Iterator[Row | Problem]:
    """One object a line. Blank lines are passed over; a bad line is a Problem and reading goes on."""
    for number, line in source.lines():
        if line is None:
            yield too_long(number)
        elif not is_blank(line):
            yield parse_row(line, number)


def parse_row(raw: bytes, line: int) -> Row | Problem:
    """The object in these bytes, or what is wrong with it."""
    try:
        return Row(line, _object(raw))
    except RowError as error:
        return Problem(error.rule, error.message, line=line, column=error.column, excerpt=excerpt(raw))


def excerpt(raw: bytes) -> str:
    return printable(raw[: 4 * EXCERPT].decode("utf-8", "replace").strip(), EXCERPT)


def too_long(line: int) -> Problem:
    return Problem("row_too_long", f"The row is longer than {MAX_ROW_BYTES // 1024**2} MB. Split it.", line=line)


def _object(raw: bytes) -> dict[str, Any]:
    """Quickly where all is well; the slow and exact way where it isn't, as that one knows the words."""
    try:
        value = _QUICK(raw)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return _object_exactly(raw)
    if isinstance(value, dict) and raw.count(b'":') == _keys(value) and not _SPACED_COLON.search(raw):
        return value
    return _object_exactly(raw)


_QUICK = msgspec.json.Decoder().decode
_SPACED_COLON = re.compile(rb'"[ \t\r\n]++:')


def _keys(value: Any) -> int:
    """How many keys all the objects hold. Fewer than the text has colons after quotes: one may stand twice."""
    if isinstance(value, dict):
        found = len(value)
        for item in value.values():
            if isinstance(item, (dict, list)):
                found += _keys(item)
        return found
    return sum(_keys(item) for item in value if isinstance(item, (dict, list)))


def _object_exactly(raw: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(raw.decode().strip(" \t\r\n"))
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise RowError(
            "not_utf8", f"Byte {error.start + 1} of the line (0x{byte:02X}) is not UTF-8. Save the file as UTF-8."
        ) from None
    except json.JSONDecodeError as error:
        hint = " JSON Lines has no comma behind a row." if error.doc[error.pos :].strip() == "," else ""
        raise RowError("invalid_json", f"Not valid JSON: {error.msg} at character {error.pos + 1}.{hint}") from None
    except RecursionError:
        raise RowError("too_deep", "The row is nested too deeply.") from None
    except ValueError:  # Python refuses to read integers of thousands of digits
        raise RowError("invalid_json", "A number in this row has too many digits.") from None
    if not isinstance(value, dict):
        raise RowError(
            "not_an_object", f'The row is {kind_of(value)}; it must be an object such as {{"prompt": …, "completion": …}}.'
        )
    return value


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise RowError("duplicate_key", f"The key “{printable(twice, 80)}” stands twice in one object.", column=twice)
    return found


def _constant(name: str) -> None:
    raise RowError("invalid_json", f"{name} is not valid JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)
