"""The quick way and the exact way find the same in every file; and no file makes either stumble."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.formats import chatblocks
from datasets_app.formats import convert as converting
from datasets_app.formats.convert import Outcome, convert
from datasets_app.formats.source import Source
from tests.datasets_app.conftest import jsonl

TEXT = st.text(max_size=12) | st.sampled_from(["", " ", "Hi", "é中🙂", 'a "quoted": {"x": 1}', "\u001c", "\n", "</s>"])
ROLE = st.sampled_from(["user", "assistant", "system", "tool", "human", "judge"])
TURN = st.fixed_dictionaries({"role": ROLE, "content": TEXT}, optional={"weight": st.integers(0, 1)})
USUAL = st.lists(st.tuples(TEXT.filter(str.strip), TEXT.filter(str.strip)), min_size=1, max_size=3).map(
    lambda pairs: [turn for q, a in pairs for turn in ({"role": "user", "content": q}, {"role": "assistant", "content": a})]
)
ROW = st.fixed_dictionaries({"messages": USUAL | USUAL | st.lists(TURN, max_size=4)}, optional={"id": st.integers(0, 3)})
STYLES = (
    lambda row: json.dumps(row),
    lambda row: json.dumps(row, ensure_ascii=False),
    lambda row: json.dumps(row, separators=(",", ":")),
    lambda row: json.dumps(row, ensure_ascii=False).replace('": ', '" : '),
)
BROKEN = st.sampled_from([
    b"", b"  ", b"{", b'{"messages": [}', b'{"messages": []}', b'{"messages": null}', b"[]", b"null", b'{"messages": [{"role": "user", "content": "a"}]',
    b'{"messages": [{"role": "user", "content": "\xff"}, {"role": "assistant", "content": "b"}]}', b'{"a": NaN}', b"\xff\xfe\x00",
    b'{"messages": [{"role": "user", "content": "\\ud83d"}, {"role": "assistant", "content": "b"}]}', b'{"messages": ' + b"[" * 3000,
    b'{"messages": [{"role": "user", "content": "a", "content": "b"}, {"role": "assistant", "content": "b"}]}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "messages": []}',
    b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]} {"messages": []}',
    b'{"messages": [{"role": "user", "content": 5}, {"role": "assistant", "content": null}]}',
])  # fmt: skip
LINE = st.tuples(ROW, st.sampled_from(STYLES)).map(lambda pair: pair[1](pair[0]).encode("utf-8", "replace"))
GOOD = jsonl(*({"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]} for n in range(9)))


def outcome_of(content: bytes, *, quickly: bool, name: str = "rows.jsonl") -> tuple[Outcome, list[dict]]:
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder) / name, Path(folder) / "out.parquet"
        path.write_bytes(content)
        way = converting._is_plain_chat if quickly else lambda *args: False
        with patch.object(converting, "_is_plain_chat", way), Source(path) as source:
            outcome = convert(source, target, {}, lambda done, total: None)
        rows = pq.read_table(target).to_pylist() if target.exists() else []
    return outcome, [row | ({"messages": json.loads(row["messages"])} if "messages" in row else {}) for row in rows]


def found(outcome: Outcome) -> list[tuple]:
    return sorted((item.rule, item.line or 0, item.row or 0, item.message) for item in outcome.problems.kept)


@given(st.lists(LINE | LINE | BROKEN, max_size=25), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_both_ways_find_the_same(lines: list[bytes], end: bytes, last: bool) -> None:
    content = GOOD.replace(b"\n", end) + end.join(lines) + (end if last else b"")
    with patch.object(chatblocks, "BLOCK", 300), patch.object(chatblocks, "FEWEST", 3):
        quick, quick_rows = outcome_of(content, quickly=True)
    exact, exact_rows = outcome_of(content, quickly=False)
    assert quick_rows == exact_rows
    assert (quick.rows, quick.valid_rows, quick.format) == (exact.rows, exact.valid_rows, exact.format)
    assert quick.problems.counts == exact.problems.counts
    assert found(quick) == found(exact)


def test_the_quick_way_is_taken_for_plain_chats_only() -> None:
    with patch.object(converting, "_take_blocks", wraps=converting._take_blocks) as taken:
        assert outcome_of(GOOD, quickly=True)[0].valid_rows == 9
        assert taken.call_count == 1
        outcome_of(GOOD.replace(b'{"messages"', b'{"id": 1, "messages"'), quickly=True)
        outcome_of(b"[" + GOOD.strip().replace(b"\n", b",") + b"]", quickly=True, name="rows.json")
        assert taken.call_count == 1


def test_equal_rows_are_told_however_they_are_written() -> None:
    row = {"messages": [{"role": "user", "content": "é"}, {"role": "assistant", "content": "a"}]}
    spaced = json.dumps(row, separators=(" , ", " : ")).encode() + b"\n"
    kept = json.dumps(row | {"id": 1}).encode() + b"\n"
    outcome, _ = outcome_of(GOOD + json.dumps(row).encode() + b"\n" + spaced + kept, quickly=True)
    assert [(item.rule, item.line) for item in outcome.problems.kept] == [("duplicate", 11), ("duplicate", 12)]


@pytest.mark.parametrize("size", [100, 1000, 5000])
def test_lines_that_are_too_long_are_passed_over_and_counted(size: int) -> None:
    long = b'{"messages": [{"role": "user", "content": "' + b"x" * size + b'"}]}\n'
    with patch.object(chatblocks, "BLOCK", 256), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(GOOD + long + GOOD)
        with Source(path) as source:
            blocks = list(chatblocks.blocks_of(source, limit=600))
    whole = b"".join(block for block in blocks if block is not None)
    if size > 900:
        assert (blocks.count(None), whole) == (1, GOOD + GOOD)
    else:
        assert whole.count(b"q8") == 2


def test_a_file_that_was_cut_off_keeps_what_came_before() -> None:
    whole = gzip.compress(GOOD * 2000)
    outcome, rows = outcome_of(whole[: len(whole) // 2], quickly=True, name="rows.jsonl.gz")
    _, exact = outcome_of(whole[: len(whole) // 2], quickly=False, name="rows.jsonl.gz")
    assert outcome.problems.counts["damaged_file"] == 1
    assert len(rows) > 100
    assert rows == exact
    array = gzip.compress(b"[" + (GOOD * 2000).strip().replace(b"\n", b",\n") + b"]")
    assert len(outcome_of(array[: len(array) // 2], quickly=True, name="rows.json.gz")[1]) > 100


def noisy(kind: str) -> st.SearchStrategy[bytes]:
    pieces = st.binary(max_size=40) | st.sampled_from(
        [GOOD, b"[", b"{", b'"', b"\n", b",", b"a,b\n1,2\n", b"\xef\xbb\xbf", b"PAR1", b"\x00", b"\\u", b"]"]
    )
    return st.lists(pieces, max_size=8).map(b"".join)


@given(st.sampled_from(["jsonl", "json", "csv", "tsv", "txt", "parquet", "jsonl.gz", "jsonl.zst", "csv.gz"]), noisy("x"))
@settings(max_examples=150, deadline=None)
def test_no_file_makes_the_pass_raise(kind: str, content: bytes) -> None:
    outcome, rows = outcome_of(content, quickly=True, name=f"x.{kind}")
    assert len(rows) == outcome.valid_rows
    lines = content.count(b"\n") + 1
    if kind in {"jsonl", "txt"} and b"\x00" not in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert all(1 <= (problem.line or 1) <= lines for problem in outcome.problems.kept)
