"""The quick way and the exact way find the same in every file; and no file makes either stumble."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.formats import blocks, intake
from datasets_app.formats import convert as converting
from datasets_app.formats.convert import convert
from datasets_app.formats.outcome import Outcome
from datasets_app.formats.source import Source
from tests.datasets_app.conftest import jsonl

TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "Hi",
        "é中🙂",
        'a "quoted": {"x": 1}',
        "\u001c",
        "\n",
        "</s>",
        "\u00a0",
        '", "output": "',
        '[{"role": "x"}]',
        "Human: a",
        'b"}]',
        "\\u0041",
    ]
)
ROLE = st.sampled_from(["user", "assistant", "system", "tool", "human", "judge"])
TURN = st.fixed_dictionaries({"role": ROLE, "content": TEXT}, optional={"weight": st.integers(0, 1)})
SAID = TEXT.filter(str.strip)


def chats(field: str, role: str, content: str, user: str, answer: str) -> st.SearchStrategy[dict]:
    def turns(pairs: list[tuple[str, str]]) -> list[dict]:
        return [turn for q, a in pairs for turn in ({role: user, content: q}, {role: answer, content: a})]

    return st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3).map(lambda pairs: {field: turns(pairs)})


def texts(*fields: str) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries(dict.fromkeys(fields, TEXT))


USUAL = {
    "openai": chats("messages", "role", "content", "user", "assistant"),
    "content first": chats("messages", "role", "content", "user", "assistant").map(
        lambda row: {"messages": [{"content": turn["content"], "role": turn["role"]} for turn in row["messages"]]}
    ),
    "sharegpt": chats("conversations", "from", "value", "human", "gpt"),
    "alpaca": texts("instruction", "input", "output"),
    "short alpaca": texts("instruction", "output"),
    "two texts": texts("prompt", "completion"),
    "guessed names": texts("question", "answer"),
    "preference": texts("prompt", "chosen", "rejected"),
    "text": texts("text"),
}
FIRST = {name: {key: ([{**dict.fromkeys(turn, "x"), **{k: v for k, v in turn.items() if k in ("role", "from")}} for turn in value]
         if isinstance(value, list) else f"the {key}") for key, value in row.items()} for name, row in {
    "openai": {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]},
    "content first": {"messages": [{"content": "", "role": "user"}, {"content": "", "role": "assistant"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": ""}]},
    "alpaca": {"instruction": "", "input": "", "output": ""}, "short alpaca": {"instruction": "", "output": ""},
    "two texts": {"prompt": "", "completion": ""}, "guessed names": {"question": "", "answer": ""},
    "preference": {"prompt": "", "chosen": "", "rejected": ""}, "text": {"text": ""},
}.items()}  # fmt: skip
ODD = st.fixed_dictionaries({"messages": st.lists(TURN, max_size=4)}, optional={"id": st.integers(0, 3)})
AROUND = ({}, {"id": 7}, {"source": "wiki"}, {"id": "a-1", "score": 0.5, "good": True})
STYLES = (
    lambda row: json.dumps(row),
    lambda row: json.dumps(row, ensure_ascii=False),
    lambda row: json.dumps(row, separators=(",", ":")),
    lambda row: json.dumps(row, separators=(",", ":"), ensure_ascii=False),
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
    b'{"prompt": "\\ud800", "completion": "a"}', b'{"prompt": "a", "completion": "a", "prompt": "b"}', b'{"prompt": "a\tb", "completion": "a"}',
    b'{"text": "\\ud800"}', b'{"text": "a\\/b \\u00e9"}', b'{"instruction": "a", "input": null, "output": "b"}', b'{"prompt": "\\u3000", "completion": "a"}',
    b'{"prompt": "Human: a\\n\\nAssistant: b", "chosen": "c", "rejected": "d"}', b'{"prompt": "p", "chosen": "same", "rejected": "same"}',
])  # fmt: skip
GOOD = jsonl(*({"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]} for n in range(9)))


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A file whose first row is as plain as can be, with anything behind it; whether the quick way takes it."""
    name = draw(st.sampled_from(sorted(USUAL)))
    before, after = draw(st.sampled_from(AROUND)), draw(st.sampled_from(AROUND))
    style = draw(st.sampled_from(STYLES))
    usual = USUAL[name].map(
        lambda row: style(before | row | {f"{key}_": value for key, value in after.items()}).encode("utf-8", "replace")
    )
    other = st.tuples(ODD | USUAL[name], st.sampled_from(STYLES)).map(lambda pair: pair[1](pair[0]).encode("utf-8", "replace"))
    first = style(before | FIRST[name] | {f"{key}_": value for key, value in after.items()}).encode()
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    lines = [first, *draw(st.lists(usual | usual | other | BROKEN, max_size=20))]
    return end.join([first] * 0 + lines) + (end if draw(st.booleans()) or len(lines) == 1 else b""), style is not STYLES[-1]


def outcome_of(content: bytes, *, quickly: bool, name: str = "rows.jsonl") -> tuple[Outcome, list[dict]]:
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder) / name, Path(folder) / "out.parquet"
        path.write_bytes(content)
        way = converting._plain if quickly else lambda *args: None
        with patch.object(converting, "_plain", way), Source(path) as source:
            outcome = convert(source, target, {}, lambda done, total: None)
        rows = pq.read_table(target).to_pylist() if target.exists() else []
    return outcome, [{key: decoded(key, value) for key, value in row.items()} for row in rows]


def decoded(key: str, value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and key != "text" else value


def found(outcome: Outcome) -> list[tuple]:
    return sorted((item.rule, item.line or 0, item.row or 0, item.message, item.at or 0) for item in outcome.problems.kept)


@given(files())
@settings(max_examples=100, deadline=None)
def test_both_ways_find_the_same(file: tuple[bytes, bool]) -> None:
    content, plain = file
    with patch.object(blocks, "BLOCK", 300), patch.object(converting, "_take_blocks", wraps=converting._take_blocks) as taken:
        quick, quick_rows = outcome_of(content, quickly=True)
    exact, exact_rows = outcome_of(content, quickly=False)
    assert quick_rows == exact_rows
    assert (quick.rows, quick.valid_rows, quick.format) == (exact.rows, exact.valid_rows, exact.format)
    assert quick.problems.counts == exact.problems.counts
    assert found(quick) == found(exact)
    assert (quick.summary, list(quick.unusable)) == (exact.summary, list(exact.unusable))
    assert taken.call_count <= plain


@pytest.mark.parametrize("name", sorted(USUAL))
def test_the_quick_way_is_taken_for_each_usual_shape(name: str) -> None:
    """And all of its plain rows go that way, with short columns around them and without, in both usual ways to write JSON."""
    for before, style in zip(AROUND, (STYLES[0], STYLES[1], STYLES[2], STYLES[3]), strict=True):
        rows = [
            before
            | {
                key: json.loads(json.dumps(value).replace('"x"', f'"é {n}"').replace("the ", f"the {n} "))
                for key, value in FIRST[name].items()
            }
            for n in range(5)
        ]
        content = "".join(style(row) + "\n" for row in rows).encode()
        with patch.object(intake.Intake, "take") as one_by_one:
            outcome, _ = outcome_of(content, quickly=True)
        assert (outcome.rows, outcome.valid_rows) == (5, 5), (name, style(rows[0]))
        assert not one_by_one.called


def test_the_exact_way_is_taken_for_other_files() -> None:
    with patch.object(converting, "_take_blocks", wraps=converting._take_blocks) as taken:
        outcome_of(b"[" + GOOD.strip().replace(b"\n", b",") + b"]", quickly=True, name="rows.json")
        outcome_of(GOOD.replace(b'{"messages"', b'{"tools": [], "messages"'), quickly=True)
        outcome_of(GOOD.replace(b'{"messages"', b'{"prompt": "a", "completion": "b", "messages"'), quickly=True)
        assert taken.call_count == 0


@pytest.mark.parametrize("size", [100, 1000, 5000])
def test_lines_that_are_too_long_are_passed_over_and_counted(size: int) -> None:
    long = b'{"messages": [{"role": "user", "content": "' + b"x" * size + b'"}]}\n'
    with patch.object(blocks, "BLOCK", 256), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(GOOD + long + GOOD)
        with Source(path) as source:
            found = list(blocks.blocks_of(source, limit=600))
    whole = b"".join(block for block in found if block is not None)
    if size > 900:
        assert (found.count(None), whole) == (1, GOOD + GOOD)
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
