"""The pass over a file: counts, findings and Parquet agree; memory stays bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.conf import settings

from datasets_app.formats import rowsfile
from datasets_app.formats.problems import KEPT_PER_RULE
from tests.datasets_app.conftest import jsonl, pairs

SHARED: Path = settings.BASE_DIR.parent / "shared" / "data"


def test_three_bad_lines_of_a_thousand_are_named_and_the_rest_is_used(converted: Callable) -> None:
    rows: list = pairs(1000)
    rows[9], rows[499], rows[999] = "{broken", {"prompt": "no answer"}, "[1, 2]"
    outcome, target = converted(jsonl(*rows))
    assert (outcome.rows, outcome.valid_rows, outcome.problems.errors) == (1000, 997, 3)
    found = [(problem.line, problem.row, problem.rule) for problem in outcome.problems.kept]
    assert found == [(10, 10, "invalid_json"), (500, 500, "missing_field"), (1000, 1000, "not_an_object")]
    table = pq.read_table(target)
    assert table.num_rows == 997
    assert table.column("line").to_pylist() == [number for number in range(1, 1001) if number not in {10, 500, 1000}]
    assert json.loads(table.column("messages")[0].as_py()) == [
        {"role": "user", "content": "What is 0 + 1?"}, {"role": "assistant", "content": "It is 1."},
    ]  # fmt: skip


def test_every_problem_is_counted_and_the_first_of_each_rule_are_kept(converted: Callable) -> None:
    outcome, _ = converted(jsonl(*(["oops"] * 300), *pairs(2)))
    assert outcome.problems.counts["invalid_json"] == 300
    assert [problem.line for problem in outcome.problems.kept] == list(range(1, KEPT_PER_RULE + 1))


def test_one_row_is_used_with_a_warning(converted: Callable) -> None:
    outcome, _ = converted(jsonl(*pairs(1)))
    assert (outcome.valid_rows, dict(outcome.problems.counts)) == (1, {"few_rows": 1})


def test_question_and_answer_are_taken_by_their_names_and_told(converted: Callable) -> None:
    outcome, _ = converted(jsonl(*({"question": f"a{number}", "answer": "b", "id": number} for number in range(3))))
    assert (outcome.format, outcome.valid_rows, dict(outcome.problems.counts)) == (
        "prompt_completion",
        3,
        {"guessed_mapping": 1, "unused_columns": 1},
    )
    assert outcome.suggestion == {"prompt": "question", "completion": "answer"}


def test_columns_nobody_knows_are_told(converted: Callable) -> None:
    outcome, target = converted(jsonl({"q": "a", "answer": "b"}))
    (problem,) = outcome.problems.kept
    assert (outcome.format, outcome.rows, outcome.valid_rows, problem.rule) == ("", 1, 0, "unknown_format")
    assert "“q”, “answer”" in problem.message
    assert outcome.suggestion == {}
    assert not target.exists()


def test_a_mapped_column_that_is_not_there_is_named(converted: Callable) -> None:
    outcome, target = converted(b"question,answer\na,b\n", "rows.csv", {"prompt": "question", "completion": "reply"})
    assert [(problem.rule, problem.column, problem.line) for problem in outcome.problems.kept] == [("missing_column", "reply", 1)]
    assert "“question”, “answer”" in outcome.problems.kept[0].message
    assert not target.exists()


@pytest.mark.parametrize("content", [b"\n\n", b"   ", b"[]", b"[\n]"])
def test_a_file_without_rows_says_so(converted: Callable, content: bytes) -> None:
    outcome, _ = converted(content, "rows.json")
    assert [problem.rule for problem in outcome.problems.kept] == ["no_rows"]


def test_what_databases_refuse_never_reaches_a_report(converted: Callable) -> None:
    outcome, _ = converted(jsonl('{"prompt": "\\u0000\\ud800", "x\\u0000\\ud800": 1}', *pairs(1)))
    stored = json.dumps([problem.as_dict() for problem in outcome.problems.kept], ensure_ascii=False)
    assert "\x00" not in stored
    assert stored.encode()


def test_rows_are_read_at_any_offset_from_their_group_only(converted: Callable) -> None:
    _, target = converted(jsonl(*pairs(25_000)))
    assert pq.ParquetFile(target).num_row_groups == 3
    rows = rowsfile.read_slice(target, 19_998, 4)
    assert [row["line"] for row in rows] == [19_999, 20_000, 20_001, 20_002]
    assert rowsfile.read_slice(target, 24_999, 10)[0]["line"] == 25_000
    assert rowsfile.read_slice(target, 25_000, 10) == []


def test_searching_looks_at_what_is_said_not_at_the_names_of_keys(converted: Callable) -> None:
    rows = [{"prompt": 'He said "Grüße" — twice', "completion": "ok"}, *pairs(3)]
    _, target = converted(jsonl(*rows))
    assert [row["line"] for row in rowsfile.search(target, 'SAID "GRÜSSE', 0, 5)[0]] == []
    assert [row["line"] for row in rowsfile.search(target, 'said "grüße', 0, 5)[0]] == [1]
    assert rowsfile.search(target, "assistant", 0, 5) == ([], 0)
    found, total = rowsfile.search(target, "what is", 1, 1)
    assert ([row["line"] for row in found], total) == ([3], 3)


PASS = """
import re, sys
from pathlib import Path
from datasets_app.formats.convert import convert
from datasets_app.formats.source import Source
with Source(Path(sys.argv[1])) as source:
    outcome = convert(source, Path(sys.argv[2]), {}, lambda done, total: None)
# Not getrusage: it counts what this process was before exec, a copy of the test runner.
print(outcome.valid_rows, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize("name", ["big.jsonl", "big.json"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    """A 120 MB file needs what a 40 MB file does: about 230 MB, half of it Python and PyArrow themselves."""
    path, count = tmp_path / name, 6000
    row = json.dumps({"prompt": "p", "completion": "word " * 4000})
    with path.open("w") as file:
        opening, between, closing = ("[", ",\n", "]") if name.endswith(".json") else ("", "\n", "")
        file.write(opening)
        for number in range(count):
            file.write((between if number else "") + row.replace('"p"', f'"p{number}"'))
        file.write(closing)
    command = [sys.executable, "-c", PASS, str(path), str(tmp_path / "out.parquet")]
    answer = subprocess.run(command, cwd=settings.BASE_DIR, env=os.environ, capture_output=True, text=True, check=True)
    rows, kilobytes = map(int, answer.stdout.split())
    assert rows == count
    assert kilobytes < 310_000


REAL = {
    "alpaca_en_demo.json": ({}, "alpaca", 999),
    "identity.json": ({}, "alpaca", 91),
    "glaive_toolcall_en_demo.json": ({}, "sharegpt", 300),
    "dpo_en_demo.json": ({}, "preference", 299),
    "kto_en_demo.json": ({}, "kto", 300),
    "gsm8k_preference.jsonl": ({}, "preference", 1894),
    "gsm8k_test.jsonl": ({"prompt": "question", "completion": "answer"}, "prompt_completion", 1319),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_taken_as_they_are(converted: Callable, name: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip("the shared data is not here")
    mapping, format, rows = REAL[name]
    outcome, _ = converted((SHARED / name).read_bytes(), name, mapping)
    assert (outcome.format, outcome.rows, outcome.valid_rows, outcome.problems.errors) == (format, rows, rows, 0)
