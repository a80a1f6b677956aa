"""Kinds of files: packed, encoded, Parquet, plain text; and those that only look like a data set."""

from __future__ import annotations

import gzip
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_app.formats.jsonrows import Row
from datasets_app.formats.problems import Problem
from datasets_app.formats.source import Unreadable, check_head, suffix_of
from tests.datasets_app.conftest import jsonl, pairs

SHARED = Path(__file__).parents[4] / "shared" / "data"


def zst(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)


def parquet(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def rows_of(found: list[Row | Problem]) -> list[dict]:
    assert all(isinstance(item, Row) for item in found), found
    return [item.data for item in found if isinstance(item, Row)]


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zst)])
def test_packed_files_are_the_same_rows(kind: str, ending: str, pack: Callable, read: Callable) -> None:
    rows = pairs(5)
    plain = {
        "jsonl": jsonl(*rows),
        "json": json.dumps(rows).encode(),
        "csv": b"prompt,completion\n" + "".join(f"{row['prompt']},{row['completion']}\n" for row in rows).encode(),
    }
    assert rows_of(read(pack(plain[kind]), f"rows.{kind}{ending}")) == rows


def test_a_cut_off_packed_file_keeps_its_first_rows_and_says_so(read: Callable) -> None:
    rows = [{"prompt": str(number) * 50, "completion": "x" * (number % 97)} for number in range(20_000)]
    for ending, pack in ((".gz", gzip.compress), (".zst", zst)):
        whole = pack(jsonl(*rows))
        found = read(whole[: len(whole) // 2], "rows.jsonl" + ending)
        assert found[-1].rule == "damaged_file", ending
        assert [item.data for item in found[:-2] if isinstance(item, Row)] == rows[: len(found[:-2])]


def test_parquet_gives_its_rows_without_the_nulls_of_other_rows(read: Callable) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}]},
        {"messages": [{"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]},
    ]
    found = read(parquet(rows), "rows.parquet")
    assert [(item.line, item.data) for item in found] == [(1, rows[0]), (2, rows[1])]
    assert rows_of(read(gzip.compress(parquet(rows)), "rows.parquet.gz")) == rows


def test_parquet_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    for content in (parquet(pairs(3))[:-10], b"PAR1 and no more", jsonl(*pairs(3)), b""):
        path.write_bytes(content)
        with pytest.raises(Unreadable):
            check_head(path, ".parquet")


def test_damage_inside_parquet_is_a_problem_and_no_exception(read: Callable) -> None:
    content = bytearray(parquet([{"prompt": "x" * 200 + str(number), "completion": "y"} for number in range(3000)]))
    for at in range(100, len(content) // 2, 7):
        content[at] ^= 0x5A
    assert [item.rule for item in read(bytes(content), "rows.parquet") if isinstance(item, Problem)] in (["damaged_file"], [])


def test_text_is_a_document_a_line_a_paragraph_or_the_file(converted: Callable) -> None:
    content = b"one\r\ntwo\n\n\nthree\n"
    for document, texts in (
        ("line", ["one", "two", "three"]),
        ("paragraph", ["one\r\ntwo", "three"]),
        ("file", [content.decode().strip()]),
    ):
        outcome, target = converted(content, "book.txt", {"options": {"document": document}})
        assert pq.read_table(target).column("text").to_pylist() == texts
        assert outcome.format == "text"
        assert "text_documents" in outcome.problems.counts
    assert pq.read_table(converted(content, "b.txt", {"options": {"document": "paragraph"}})[1]).column("line").to_pylist() == [
        1,
        5,
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_other_encodings_are_read_and_said(encoding: str, converted: Callable) -> None:
    rows = [{"prompt": f"Où est le café n°{n} ?", "completion": "Près du théâtre, à côté de l’école."} for n in range(30)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    outcome, target = converted(text.encode(encoding), "rows.jsonl")
    assert outcome.valid_rows == 30
    assert json.loads(pq.read_table(target).column("messages")[3].as_py())[0]["content"] == rows[3]["prompt"]
    assert ("other_encoding" in outcome.problems.counts) == (encoding != "utf-8-sig")
    assert outcome.problems.errors == 0


def test_scripts_are_told_apart(converted: Callable) -> None:
    for encoding, words in (
        ("cp1251", "Привет как дела сегодня? Всё хорошо и спасибо."),
        ("shift_jis", "今日はとても良い天気ですね。散歩に行きましょう。"),
    ):
        text = "prompt,completion\n" + "".join(f"{words} {n},{words}\n" for n in range(20))
        _, target = converted(text.encode(encoding), "rows.csv")
        assert json.loads(pq.read_table(target).column("messages")[0].as_py())[1]["content"] == words, encoding


def test_a_few_wrong_bytes_in_utf8_stay_problems_of_their_lines(read: Callable) -> None:
    found = read('{"a": "é"}\n{"a": "ü"}\n'.encode() + b'{"a": "caf\xe9"}\n', "rows.jsonl")
    assert [getattr(item, "rule", "row") for item in found] == ["row", "row", "not_utf8"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20),
        ("x.jsonl", b"SQLite format 3\x00" + b"\x00" * 100),
        ("x.csv", bytes(range(256)) * 30),
        ("x.jsonl", b"\x28\xb5\x2f\xfd" + b"x" * 90),
        ("x.jsonl.zst", b"not packed"),
        ("x.jsonl.gz", b"not packed"),
        ("x.txt", b""),
    ],
)
def test_what_is_no_text_is_refused_in_words(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Unreadable) as refusal:
        check_head(path, suffix_of(name))
    assert str(refusal.value).endswith(".")


def test_a_million_columns_and_ten_thousand_brackets_end_quickly(read: Callable) -> None:
    began = time.process_time()
    header = ",".join(f"c{number}" for number in range(1_000_000)).encode()
    assert [item.rule for item in read(header + b"\n" + b"," * 999_999 + b"\n", "wide.csv")] == ["bad_header"]
    deep = b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    assert [item.rule for item in read(deep, "deep.jsonl")] == ["too_deep"]
    assert [item.rule for item in read(b"[" + deep + b"]", "deep.json")] == ["too_deep"]
    assert time.process_time() - began < 5


def test_a_line_without_end_is_passed_over_in_little_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The limit is made small: what counts is that no more than the limit is held."""
    import tracemalloc

    from datasets_app.formats.readers import read_rows
    from datasets_app.formats.source import Source

    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(b'{"prompt": "a", "completion": "b"}\n{"prompt": "')
        for _ in range(64):
            file.write(b"x" * 1024**2)
        file.write(b'"}\n{"prompt": "c", "completion": "d"}\n')
    monkeypatch.setattr("datasets_app.formats.source.Source.lines", limited_lines(Source.lines, 1024**2))
    tracemalloc.start()
    with Source(path) as source:
        found = list(read_rows(source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(item.line, getattr(item, "rule", "row")) for item in found] == [(1, "row"), (2, "row_too_long"), (3, "row")]
    assert peak < 16 * 1024**2


def limited_lines(lines: Callable, limit: int) -> Callable:
    return lambda self: lines(self, limit)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "format", "rows"),
    [
        ("alpaca_en_demo.json", "alpaca", 999), ("identity.json", "alpaca", 91), ("dpo_en_demo.json", "preference", 299),
        ("kto_en_demo.json", "kto", 300), ("glaive_toolcall_en_demo.json", "sharegpt", 300), ("gsm8k_preference.jsonl", "preference", None),
        ("gsm8k_test.jsonl", "prompt_completion", 1319), ("gsm8k_train.jsonl", "prompt_completion", 7473),
    ],
)  # fmt: skip
def test_real_files_are_accepted_as_they_are(name: str, format: str, rows: int | None, converted: Callable) -> None:
    content = (SHARED / name).read_bytes()
    outcome, target = converted(content, name)
    expected = rows or content.count(b"\n")
    assert (outcome.format, outcome.rows, outcome.valid_rows) == (format, expected, expected), dict(outcome.problems.counts)
    if name.startswith("glaive"):
        table = pq.read_table(target)
        assert table.column("tools").null_count == 109  # those offer none in the file either
        assert sum("tool_calls" in text for text in table.column("messages").to_pylist()) > 100
