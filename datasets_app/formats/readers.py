"""The door to the readers: which one a file needs, and what can go wrong with the file as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

from datasets_app.formats.csvrows import read_csv
from datasets_app.formats.jsonarray import read_json_array
from datasets_app.formats.jsonrows import Row, read_jsonl
from datasets_app.formats.parquetrows import read_parquet
from datasets_app.formats.problems import Problem
from datasets_app.formats.source import DAMAGED, Source
from datasets_app.formats.textrows import read_text

CUT_OFF = "The compressed file is damaged or was cut off; the rows after this point are missing."


def read_rows(source: Source, *, document: str = "line") -> Iterator[Row | Problem]:
    """Every row of the file in order, each with its line; problems stand where the row would have stood. Never raises for
    content. `document` is what counts as one in a plain text: a line, a paragraph or the whole file."""
    try:
        yield from _reader(source, document)
    except DAMAGED:
        yield Problem("damaged_file", CUT_OFF)


def _reader(source: Source, document: str) -> Iterator[Row | Problem]:
    if source.kind == "parquet":
        return read_parquet(source)
    if source.kind in {"txt", "md"}:
        return read_text(source, document)
    head = source.first().lstrip()
    if source.kind in {"csv", "tsv"}:
        return read_csv(source)
    if head.startswith(b"[") and (source.kind == "json" or not _has_row_lines(head)):
        return read_json_array(source)
    if source.kind == "json" and head.startswith(b"{") and not _has_row_lines(head):
        return _single_object(head)
    return read_jsonl(source)


def _has_row_lines(head: bytes) -> bool:
    """Whether a whole object stands on a line of its own: then the file is JSON Lines, whatever its name says."""
    lines = head.splitlines()
    return lines[0].strip() != b"[" and any(_is_object(line) for line in lines[:100])


def _is_object(line: bytes) -> bool:
    try:
        return line.startswith(b"{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _single_object(head: bytes) -> Iterator[Problem]:
    words = "The file is one JSON object. Rows must be a list of objects, [{…}, {…}], or one object a line."
    yield Problem("not_a_list", words, line=1, excerpt=head[:200].decode("utf-8", "replace"))
