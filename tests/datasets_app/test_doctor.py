"""The doctor on files made for each rule: it finds what is there, on its line, and nothing in a clean file."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.doctor import texts
from datasets_app.doctor.examination import examine as look_closer
from datasets_app.doctor.repeats import Repeats
from datasets_app.formats import rowsfile
from datasets_app.formats.convert import convert
from datasets_app.formats.outcome import Outcome
from datasets_app.formats.problems import KEPT_PER_RULE, Problem
from datasets_app.formats.source import Source
from tests.datasets_app.conftest import jsonl, pairs

Examine = Callable[..., Outcome]
SYSTEM, USER, ANSWER = ({"role": role, "content": f"{role} says something"} for role in ("system", "user", "assistant"))
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": {"a": 1}}}]}
RESULT = {"role": "tool", "content": "2", "tool_call_id": "c1"}
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}}}


def turns(*messages: dict, **more: Any) -> dict:
    return {"messages": list(messages), **more}


def asks(text: str, answer: str = "A fine answer.") -> dict:
    return {"prompt": text, "completion": answer}


def prefers(chosen: str, rejected: str, prompt: Any = "Which?") -> dict:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def examined(path: Path, mapping: dict[str, str] | None = None) -> Outcome:
    """What reading a file and looking closer at its rows finds."""
    target = path.with_name("out.parquet")
    with Source(path) as source:
        outcome = convert(source, target, mapping or {}, lambda done, total: None)
    if outcome.valid_rows:
        outcome.summary |= look_closer(target, outcome.kind, outcome.problems, list(outcome.unusable), lambda done, total: None)
    return outcome


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """The same for rows."""

    def _examine(*rows: Any, mapping: dict[str, str] | None = None, name: str = "rows.jsonl") -> Outcome:
        path = tmp_path / name
        path.write_bytes(rows[0] if isinstance(rows[0], bytes) else jsonl(*rows))
        return examined(path, mapping)

    return _examine


def found(outcome: Outcome, rule: str) -> list[Problem]:
    return [problem for problem in outcome.problems.kept if problem.rule == rule]


ONE_ROW = {
    "placeholder_text": asks("What?", "NaN"),
    "broken_encoding": asks("Wie heißt die TÃ¼r?"),
    "control_characters": asks("Zero\u200bwidth"),
    "garbled": asks("#$%&/()=?*+~" * 6),
    "shouting": asks("WHY IS THIS QUESTION WRITTEN IN CAPITALS, MAY I ASK YOU, PLEASE TELL ME"),
    "outer_space": asks("What?", " That. "),
    "secret": asks("My key is sk-abcdefghijklmnopqrstuvwxyz0123"),
    "personal_data": asks("Write to jane.doe@acme.org please"),
    "special_tokens": asks("Say <|im_end|> now"),
    "two_formats": asks("a") | {"instruction": "b", "output": "c"},
    "no_user": turns(SYSTEM, ANSWER),
    "starts_with_answer": turns(ANSWER, USER, ANSWER),
    "system_not_first": turns(USER, SYSTEM, ANSWER),
    "not_alternating": turns(USER, USER, ANSWER),
    "ends_without_answer": turns(USER, ANSWER, USER),
    "unknown_keys": turns(USER | {"mood": "good"}, ANSWER),
    "bad_weight": turns(USER, ANSWER | {"weight": 0.5}),
    "nothing_weighted": turns(USER, ANSWER | {"weight": 0}),
    "unknown_tool": turns(USER, CALL, RESULT, ANSWER),
    "arguments_dont_fit": turns(
        USER, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": "x"}}}]}, ANSWER, tools=[ADD]
    ),
    "arguments_not_json": turns(
        USER, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": "{broken"}}]}, ANSWER, tools=[ADD]
    ),
    "text_beside_calls": turns(USER, CALL | {"content": "Let me see."}, RESULT, ANSWER, tools=[ADD]),
    "orphan_tool_result": turns(USER, {"role": "tool", "content": "2"}, ANSWER, tools=[ADD]),
    "unknown_call_id": turns(USER, CALL, RESULT | {"tool_call_id": "c9"}, ANSWER, tools=[ADD]),
    "prompt_ends_with_answer": prefers("Yes.", "No.", [USER, ANSWER]),
    "earlier_turns": prefers("Yes.", "No.", [USER, ANSWER, USER]),
    "several_turns": {"prompt": [USER], "chosen": [ANSWER, USER, ANSWER], "rejected": [ANSWER | {"content": "no"}]},
    "nearly_same_answers": prefers("Yes, of course.", "yes,  of course."),
    "very_different_lengths": prefers("Because. " * 60, "No."),
    "long_rows": asks("word " * 3000),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "row"), ONE_ROW.items(), ids=ONE_ROW.keys())
def test_each_rule_finds_its_row_on_its_line(examine: Examine, rule: str, row: dict) -> None:
    plain = {"messages": pairs_as_turns, "chosen": [prefers(f"Yes {n}", f"No {n}", f"Is it {n}?") for n in range(3)]}
    clean = next((rows for key, rows in plain.items() if key in row), pairs(3))
    outcome = examine(*clean, row)
    problems = found(outcome, rule)
    assert [problem.line for problem in problems] == [4], outcome.problems.kept
    assert problems[0].row == 4
    assert problems[0].excerpt
    assert problems[0].message.endswith((".", "?")) or ":" in problems[0].message
    assert not [problem for problem in outcome.problems.kept if problem.row in (1, 2, 3)]


pairs_as_turns = [turns(USER | {"content": f"Q{n}"}, ANSWER | {"content": f"A{n}"}) for n in range(3)]

WHOLE = {
    "duplicate": [*pairs(3), pairs(3)[1]],
    "conflicting": [*pairs(3), asks("What is 1 + 1?", "Three, of course.")],
    "same_prompts": [asks("The same question", f"Answer {n}") for n in range(12)],
    "same_completions": [asks(f"Question {n}", "The same answer") for n in range(12)],
    "common_start": [asks(f"Answer like a good pirate would: question {n * 7}", f"{n}") for n in range(12)],
    "common_end": [asks(f"{n}", f"{n} is what I think, and nothing else.") for n in range(12)],
    "few_labels": [asks(f"Review number {n}", "good" if n % 2 else "bad") for n in range(40)],
    "label_imbalance": [asks(f"Review number {n}", "bad" if n == 5 else "good") for n in range(80)],
    "few_rows": pairs(5),
    "small_set": pairs(30),
    "unused_columns": [pair | {"source": "web"} for pair in pairs(3)],
    "similar_columns": [pair | {"Prompt": "x"} for pair in pairs(3)],
    "system_prompts_differ": [turns(SYSTEM, USER | {"content": f"{n}"}, ANSWER) if n % 2 else turns(USER | {"content": f"{n}"}, ANSWER) for n in range(12)],
    "tools_differ": [turns(USER | {"content": f"{n}"}, ANSWER, tools=[{"name": f"tool{n % 2}"}]) for n in range(12)],
    "length_bias": [prefers("A longer answer", "Short", f"{n}?") for n in range(25)],
    "long_outliers": [*pairs(20), asks("word " * 1000)],
    "near_duplicate": [*pairs(3), *(asks(f"The shop in the old town opens at nine and closes at six every {day}", "Come on a weekday, or call before you come. " + " ".join(f"w{n}" for n in range(40))) for day in ("day", "week"))],
    "mixed_languages": [*(asks(f"What is the name of the {n}th tool that you have with you, and what is it for?", "It is the one that you have in the box with the others, for the work that is to be done.") for n in range(12)),
                        asks("Wie heißt das?", "Das ist die Luftpumpe, und sie ist nicht für das Rad, sondern für den Ball von dem Kind.")],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "rows"), WHOLE.items(), ids=WHOLE.keys())
def test_what_only_all_rows_show(examine: Examine, rule: str, rows: list) -> None:
    outcome = examine(*rows)
    assert len(found(outcome, rule)) == 1, dict(outcome.problems.counts)


def test_a_clean_file_has_nothing(examine: Examine) -> None:
    outcome = examine(*[asks(f"{n} times {n % 17} is how much, {n * 31 % 89}?", f"Answer{n * n} {n}.") for n in range(1200)])
    assert dict(outcome.problems.counts) == {}
    assert (outcome.summary["turns"], outcome.summary["roles"]) == ({"2": 1200}, {"user": 1200, "assistant": 1200})
    assert outcome.summary["tokens"]["count"] == 1200
    assert sum(bar["rows"] for bar in outcome.summary["tokens"]["histogram"]) == 1200


def test_all_are_counted_and_fifty_are_kept(examine: Examine) -> None:
    outcome = examine(*[asks(f"{n}: jane@acme.org", f"{n}") for n in range(80)])
    assert outcome.problems.counts["personal_data"] == 80
    assert len(found(outcome, "personal_data")) == KEPT_PER_RULE


def test_many_equal_rows_are_never_held_as_pairs() -> None:
    repeats = Repeats(limit=300_000)
    for _ in range(300_000):
        repeats.add(b"the same", ("What is 1 + 1?", "Two."))
    tracemalloc.start()
    count = sum(1 for later, first in repeats.duplicates() if later > first == 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 299_999
    assert peak < 300_000 * 90, f"{peak:,} bytes"  # arrays take 57 a row; with a list of the pairs it was 129
    assert list(repeats.contradictions()) == []


def test_a_secret_is_not_repeated_in_the_findings(examine: Examine) -> None:
    outcome = examine(
        *pairs(3),
        asks("Use hf_abcdefghijklmnopqrstuvwxyzABCDEFGH with bob@acme.org", "<|im_end|> hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"),
    )
    told = str([problem.as_dict() for problem in outcome.problems.kept])
    assert "hf_abc" not in told
    assert "bob@" not in told


@pytest.mark.parametrize(("text", "rules"), [
    ("Card 4111 1111 1111 1111 and IBAN DE89 3704 0044 0532 0130 00", ["personal_data"]),
    ("Order 4111 1111 1111 1112 and room DE00 1234 1234 1234 1234 00", []),
    ("password: hunter2hunter2", ["secret"]),
    ("The password is at least ten characters long", []),
    ("write to me@example.com", []),
    ("👩\u200d👧 and می\u200cشود", []),
    ("None of them is right", []),
])  # fmt: skip
def test_texts_are_judged_with_care(text: str, rules: list[str]) -> None:
    assert [rule for rule, _, _ in texts.problems_of(text)] == rules


def test_cures_take_away_what_was_found() -> None:
    assert texts.without_secrets("key sk-abcdefghijklmnopqrstuvwxyz!") == "key [secret]!"
    assert texts.without_personal("to a.b@acme.org or c@acme.org") == "to [email] or [email]"
    assert texts.decoded_again("TÃ¼r") == "Tür"
    assert texts.decoded_again("weiß â und TÃ¼r 漢") == "weiß â und Tür 漢"
    assert texts.without_special("a<|im_end|>b") == "ab"


def test_equal_rows_are_told_however_they_are_written(examine: Examine) -> None:
    row = {"messages": [{"role": "user", "content": "é"}, {"role": "assistant", "content": "a"}]}
    ways = [
        json.dumps(row),
        json.dumps(row, separators=(" , ", " : ")),
        json.dumps(row | {"id": 1}),
        json.dumps(row, ensure_ascii=False),
    ]
    twins = found(examine(*ways), "duplicate")
    assert [problem.line for problem in twins] == [2, 3, 4]
    assert twins[0].message == "The same as the row on line 1."


def test_rows_that_continue_others_are_looked_up(examine: Examine) -> None:
    rows = [
        asks(f"q{n}") | {"id": f"r{n}", "parent_id": parent} for n, parent in enumerate([None, "r0", "r9", "r3", "r5", "r4", "r4"])
    ]
    outcome = examine(*rows)
    assert "6 rows name the row they continue" in found(outcome, "rows_continue")[0].message
    assert [(problem.line, problem.row) for problem in found(outcome, "unknown_parent")] == [(3, 3), (4, 4)]
    assert [problem.line for problem in found(outcome, "parent_cycle")] == [5, 6, 7]
    assert found(examine(*(asks(f"q{n}") | {"id": n} for n in range(3))), "rows_continue") == []


def test_a_templates_empty_places_are_told(examine: Examine) -> None:
    rows = [{"title": "T", "body": "B", "a": "x"}, {"title": "T", "body": " ", "a": "x"}, {"title": "T", "a": "x"}]
    outcome = examine(*rows, mapping={"prompt": {"template": "{title}: {body}"}, "completion": "a"})
    assert [problem.line for problem in found(outcome, "template_gap")] == [2, 3]


def test_tools_of_comparisons_are_kept_and_looked_at(examine: Examine, tmp_path: Path) -> None:
    pair = {"prompt": [USER], "chosen": [CALL, RESULT, ANSWER], "rejected": [ANSWER | {"content": "no"}]}
    judged = {"prompt": [USER], "completion": [ANSWER], "label": True, "tools": json.dumps([ADD])}
    outcome = examine(
        pair,
        pair | {"tools": [ADD]},
        {
            "input": {"messages": [USER], "tools": [ADD]},
            "preferred_output": [ANSWER],
            "non_preferred_output": [ANSWER | {"content": "no"}],
        },
    )
    assert [problem.line for problem in found(outcome, "unknown_tool")] == [1]
    assert [row["tools"] for row in rowsfile.read_slice(tmp_path / "out.parquet", 0, 9)] == [None, [ADD], [ADD]]
    examine(judged)
    assert rowsfile.read_slice(tmp_path / "out.parquet", 0, 9)[0]["tools"] == [ADD]


BAD = ("{broken", '{"prompt": "only"}', '["list"]', '{"prompt": "a", "completion": 3}')


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.sampled_from(BAD), st.just("")), min_size=1, max_size=30))
def test_every_problem_stands_on_its_own_line(tmp_path_factory: pytest.TempPathFactory, lines: list[str | None]) -> None:
    """Whatever is before it: blank lines, bad rows, good ones."""
    folder = tmp_path_factory.mktemp("lines")
    written = [json.dumps(asks(f"q{n}", f"see <|im_end|> {n}")) if line is None else line for n, line in enumerate(lines)]
    (folder / "rows.jsonl").write_text("\n".join(['{"prompt": "q", "completion": "a"}', *written]) + "\n")
    outcome = examined(folder / "rows.jsonl")
    about_rows = {problem.line for problem in outcome.problems.kept if problem.row and problem.severity == "error"}
    assert about_rows == {number for number, line in enumerate(lines, 2) if line}
    assert [problem.line for problem in found(outcome, "special_tokens")] == [
        number for number, line in enumerate(lines, 2) if line is None
    ]
