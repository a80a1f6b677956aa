"""The readers: whatever the bytes, no exception, right line numbers, no good row lost, bounded memory."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.formats.jsonarray import read_json_array
from datasets_app.formats.jsonrows import Row, read_jsonl
from datasets_app.formats.problems import Problem
from datasets_app.formats.readers import read_rows
from datasets_app.formats.source import MAX_ROW_BYTES, Source, Unreadable, check_head, suffix_of

GOOD = st.dictionaries(st.text(max_size=8), st.text(max_size=30) | st.integers() | st.none(), max_size=3)
BROKEN = st.sampled_from(
    [b"{", b'{"a": 1', b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1, "a": 2}', b"[1]", b"null", b'"x"', b"\xff\xfe", b'{"a": "\xff"}',
     b"not json", b"{'a': 1}", b"[" * 20_000, b'{"a":' * 20_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 1} x', b'{"a": "\x01"}']
)  # fmt: skip
BLANK = st.sampled_from([b"", b"  ", b"\t"])
# (the line, the row it holds): nothing is judged by the code under test
LINES = st.lists(
    GOOD.map(lambda row: (json.dumps(row).encode(), row)) | (BROKEN | BLANK).map(lambda line: (line, None)), max_size=30
)


def items_of(content: bytes, name: str, reader: Callable = read_rows) -> list[Row | Problem]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with Source(path) as source:
            return list(reader(source))


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_broken_lines_are_named_and_good_ones_are_all_kept(lines: list[tuple[bytes, dict | None]], end: bytes, last: bool) -> None:
    found = items_of(end.join(line for line, _ in lines) + (end if last else b""), "rows.jsonl", read_jsonl)
    rows = [(item.line, item.data) for item in found if isinstance(item, Row)]
    bad = [item.line for item in found if isinstance(item, Problem)]
    assert rows == [(number, row) for number, (_, row) in enumerate(lines, start=1) if row is not None]
    assert bad == [number for number, (line, row) in enumerate(lines, start=1) if row is None and line.strip()]


@given(st.lists(GOOD, max_size=20), st.integers(0, 3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_an_array_gives_each_item_with_its_line(rows: list[dict], indent: int, ascii_only: bool) -> None:
    text = json.dumps(rows, indent=indent or None, ensure_ascii=ascii_only)
    found = items_of(text.encode("utf-8", "replace"), "rows.json", read_json_array)
    assert [item.data for item in found] == json.loads(text)
    lines = [item.line for item in found]
    assert lines == sorted(lines)
    source = text.split("\n")
    assert all(source[line - 1].lstrip(" [").startswith("{") for line in lines)
    assert len(set(lines)) == len(lines) or not indent


@given(st.binary(max_size=400))
@settings(max_examples=80, deadline=None)
def test_no_bytes_make_a_reader_raise(noise: bytes) -> None:
    for name in ("a.jsonl", "a.json", "a.csv", "a.tsv", "a.jsonl.gz"):
        items_of(noise, name)
        items_of(b"[{" + noise + b"}]", name)


def test_an_array_is_split_right_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": 'quote " backslash \\ bracket ]} comma, ' * 3, "n": [1, {"deep": "}"}]}, {"text": "\\"}, {"text": "é\n"}]
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr("datasets_app.formats.jsonarray.CHUNK", size)
        assert [item.data for item in items_of(json.dumps(rows).encode(), "rows.json")] == rows


def test_a_bad_item_of_an_array_spoils_only_itself(read: Callable) -> None:
    text = '[\n{"a": 1},\n{"a": NaN},\n{"a": [1, 2},\n42,\n"x",\n{"a": 2, "a": 3},\n{"b": 4},\n]'
    found = read(text.encode(), "rows.json")
    assert [(item.line, item.data) for item in found if isinstance(item, Row)] == [(2, {"a": 1}), (8, {"b": 4})]
    assert [(item.line, item.rule) for item in found if isinstance(item, Problem)] == [
        (3, "invalid_json"), (4, "invalid_json"), (5, "not_an_object"), (6, "not_an_object"), (7, "duplicate_key")
    ]  # fmt: skip


def test_an_array_that_was_cut_off_says_where(read: Callable) -> None:
    found = read(b'[\n{"a": 1},\n{"a": "never clo', "rows.json")
    assert isinstance(found[0], Row)
    assert (found[1].rule, found[1].line) == ("unfinished", 3)


def test_text_after_an_array_is_told(read: Callable) -> None:
    assert [item.rule for item in read(b'[{"a": 1}]\n{"b": 2}', "rows.json")[1:]] == ["trailing_data"]


def test_a_line_too_long_is_skipped_and_reading_goes_on(read: Callable) -> None:
    huge = b'{"a": "' + b"x" * (MAX_ROW_BYTES + 10) + b'"}'
    found = read(b'{"a": 1}\n' + huge + b'\n{"a": 2}\n', "rows.jsonl")
    assert [(item.line, getattr(item, "rule", "row")) for item in found] == [(1, "row"), (2, "row_too_long"), (3, "row")]
    found = read(b'[{"a": 1},\n' + huge + b',\n{"a": 2}]', "rows.json")
    assert [(item.line, getattr(item, "rule", "row")) for item in found] == [(1, "row"), (2, "row_too_long"), (3, "row")]


def test_json_lines_named_json_are_read_and_an_array_named_jsonl_too(read: Callable) -> None:
    assert [item.data for item in read(b'{"a": 1}\n{"a": 2}\n', "rows.json")] == [{"a": 1}, {"a": 2}]
    assert [item.data for item in read(b'[\n {"a": 1},\n {"a": 2}\n]', "rows.jsonl")] == [{"a": 1}, {"a": 2}]


def test_one_pretty_object_is_told_to_be_a_list(read: Callable) -> None:
    (problem,) = read(b'{\n "data": [{"a": 1}]\n}', "rows.json")
    assert (problem.rule, problem.line) == ("not_a_list", 1)


def test_a_byte_order_mark_is_no_part_of_the_data(read: Callable) -> None:
    mark = b"\xef\xbb\xbf"
    assert read(mark + b'{"a": 1}\n', "rows.jsonl")[0].data == {"a": 1}
    assert read(mark + b'[{"a": 1}]', "rows.json")[0].data == {"a": 1}
    assert read(mark + b"a,b\n1,2\n", "rows.csv")[0].data == {"a": "1", "b": "2"}


def test_bytes_that_are_not_utf8_are_named_by_line_and_byte(read: Callable) -> None:
    problem = read(b'{"a": 1}\n{"a": "caf\xe9"}\n', "rows.jsonl")[1]
    assert (problem.rule, problem.line) == ("not_utf8", 2)
    assert "0xE9" in problem.message
    assert "Byte 11 " in problem.message
    found = read(b"a,b\nx,caf\xe9\ny,z\n", "rows.csv")
    assert (found[0].rule, found[0].line, found[0].column) == ("not_utf8", 2, "b")
    assert found[1].data == {"a": "y", "b": "z"}


def test_csv_cells_may_span_lines_and_rows_know_where_they_begin(read: Callable) -> None:
    found = read(b'prompt,completion\n"one\ntwo",x\n\n"a ""b"" c",y\nonly one cell\nlast,z\n', "rows.csv")
    assert [(item.line, getattr(item, "rule", "row")) for item in found] == [
        (2, "row"),
        (5, "row"),
        (6, "wrong_columns"),
        (7, "row"),
    ]
    assert found[0].data == {"prompt": "one\ntwo", "completion": "x"}
    assert found[1].data["prompt"] == 'a "b" c'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_separator_is_found_in_the_header(read: Callable, delimiter: str) -> None:
    text = f"prompt{delimiter}completion\na{delimiter}b\n"
    assert read(text.encode(), "rows.csv")[0].data == {"prompt": "a", "completion": "b"}


def test_a_single_column_keeps_its_commas(read: Callable) -> None:
    assert read(b"text\nHello, world; all | of it\n", "rows.csv")[0].data == {"text": "Hello, world; all | of it"}


@pytest.mark.parametrize("header", ["What is 2+2?,4", "1,2", "How many legs has a dog?,Four.", "a,", "prompt,prompt"])
def test_a_csv_without_names_in_line_1_is_refused_at_line_1(read: Callable, header: str) -> None:
    (problem,) = read(f"{header}\nx,y\n".encode(), "rows.csv")
    assert problem.rule in {"no_header", "duplicate_column"}
    assert problem.line == 1


def test_a_quote_never_closed_is_named_where_it_opens(read: Callable) -> None:
    found = read(b'a,b\n1,2\n3,"4\n5,6\n', "rows.csv")
    assert found[0].data == {"a": "1", "b": "2"}
    assert (found[1].rule, found[1].line) == ("bad_csv", 3)


def test_gzip_is_read_and_a_damaged_one_keeps_what_came_before(read: Callable) -> None:
    content = gzip.compress(b"".join(b'{"a": %d}\n' % number for number in range(50_000)))
    assert len(read(content, "rows.jsonl.gz")) == 50_000
    found = read(content[: len(content) // 2], "rows.jsonl.gz")
    assert found[-1].rule == "damaged_file"
    assert found[0].data == {"a": 0}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "empty"),
        ("a.jsonl", b"\x89PNG\r\n\x1a\n\x00\x00", "an image"),
        ("a.jsonl", b'{"a": 1}\x00\x00', "not text"),
        ("a.jsonl", bytes(range(128, 256)) * 20, "not text"),
        ("a.json", b"\x00\x01" * 20, "not text"),
        ("a.csv", b"PK\x03\x04[Content_Types].xml", "save a spreadsheet as CSV"),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save a spreadsheet as CSV"),
        ("a.csv.gz", b"a,b\n", "gzip"),
        ("a.jsonl", gzip.compress(b"{}"), "gzip-compressed"),
    ],
)
def test_what_is_no_text_is_refused_by_its_beginning(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=words):
        check_head(path, suffix_of(name))


@pytest.mark.parametrize("name", ["rows.xlsx", "Rows.XLS", "rows.ods"])
def test_a_spreadsheet_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(Unreadable, match=r"A spreadsheet \(\.[a-z]+\) can't be read\. Open it, save .* as CSV"):
        suffix_of(name)


@pytest.mark.parametrize("name", ["rows.exe", "rows", ".jsonl.zip", "jsonl", ""])
def test_other_endings_are_refused(name: str) -> None:
    with pytest.raises(Unreadable, match="can't be read"):
        suffix_of(name)


def test_a_comma_behind_a_row_is_named() -> None:
    first = items_of(b'{"a": 1},\n{"a": 2}\n', "rows.jsonl", read_jsonl)[0]
    assert isinstance(first, Problem)
    assert first.message.endswith("no comma behind a row.")
