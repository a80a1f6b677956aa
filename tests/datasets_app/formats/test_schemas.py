"""The shapes: recognised from their rows, normalised to one form, refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datasets_app.formats.problems import RowError
from datasets_app.formats.schemas import SHAPES, apply_mapping, detect, normalise

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}


def canonical(row: dict[str, Any], mapping: dict[str, str] | None = None) -> tuple[str, dict[str, Any], list[str]]:
    """(format, the normalised row decoded, rules warned of)."""
    shape = detect([row], mapping or {})
    assert shape is not None
    warned: list[str] = []
    built = normalise(shape, row, mapping or {}, lambda rule, message, path: warned.append(rule)).values
    decoded = {name: json.loads(value) if isinstance(value, str) and name != "text" else value for name, value in built.items()}
    return shape.format, decoded, warned


def refusal(row: dict[str, Any], format: str, mapping: dict[str, str] | None = None) -> RowError:
    shape = next(shape for shape in SHAPES if shape.format == format)
    with pytest.raises(RowError) as told:
        normalise(shape, row, mapping or {}, lambda *warning: None)
    return told.value


SAME = {
    "prompt and completion": ("prompt_completion", {"prompt": "Hi", "completion": "Hello."}),
    "prompt and completion as turns": ("prompt_completion", {"prompt": [USER], "completion": [ANSWER]}),
    "alpaca": ("alpaca", {"instruction": "Hi", "input": "", "output": "Hello."}),
    "openai": ("openai", {"messages": [USER, ANSWER]}),
    "openai with parts": ("openai", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, ANSWER]}),
    "openai under another name": ("openai", {"conversations": [USER, ANSWER]}),
    "a list as text": ("openai", {"messages": json.dumps([USER, ANSWER])}),
    "sharegpt": ("sharegpt", {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}),
    "sharegpt with an empty system": (
        "sharegpt",
        {"conversations": [{"from": "system", "value": ""}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]},
    ),
}


@pytest.mark.parametrize(("format", "row"), SAME.values(), ids=SAME.keys())
def test_every_spelling_of_a_conversation_becomes_the_same_messages(format: str, row: dict[str, Any]) -> None:
    assert canonical(row) == (format, {"messages": [USER, ANSWER], "tools": None}, [])


def test_alpaca_joins_input_and_puts_system_and_history_first() -> None:
    row = {"instruction": "Add", "input": "1 and 2", "output": "3", "system": "Be short.", "history": [["Hi", "Hello."]]}
    assert canonical(row)[1]["messages"] == [
        {"role": "system", "content": "Be short."}, USER, ANSWER,
        {"role": "user", "content": "Add\n\n1 and 2"}, {"role": "assistant", "content": "3"},
    ]  # fmt: skip


def test_text_is_kept_as_it_is() -> None:
    assert canonical({"text": " As it stands.\n"}) == ("text", {"text": " As it stands.\n"}, [])


def test_tool_calls_of_both_worlds_become_one() -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    sharegpt = {
        "conversations": [
            {"from": "human", "value": "1?"},
            {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
            {"from": "observation", "value": "1"},
            {"from": "gpt", "value": "One."},
        ],
        "tools": '[{"name": "add", "parameters": {}}]',
    }
    openai = {
        "messages": [
            {"role": "user", "content": "1?"},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "add", "arguments": '{"a": 1}'}}]},
            {"role": "tool", "content": "1"},
            {"role": "assistant", "content": "One."},
        ],
        "tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}],
    }
    first, second = canonical(sharegpt), canonical(openai)
    assert first[1] == second[1]
    assert first[1]["messages"][1] == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert first[1]["tools"] == openai["tools"]
    assert first[2] == second[2] == []


def test_further_keys_of_a_turn_are_kept() -> None:
    assert canonical({"messages": [USER, {**ANSWER, "weight": 0}]})[1]["messages"][1] == {**ANSWER, "weight": 0}


def test_preferences_are_recognised_in_their_spellings() -> None:
    worse = {"role": "assistant", "content": "Go away."}
    expected = {"prompt": [USER], "chosen": [ANSWER], "rejected": [worse]}
    for row in (
        {"prompt": "Hi", "chosen": "Hello.", "rejected": "Go away."},
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [worse]},
        {"chosen": [USER, ANSWER], "rejected": [USER, worse]},
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Hello."},
            "rejected": {"from": "gpt", "value": "Go away."},
        },
    ):
        assert canonical(row) == ("preference", expected, [])


def test_judged_answers_are_recognised_but_not_every_label() -> None:
    expected = {"prompt": [USER], "completion": [ANSWER], "label": True}
    assert canonical({"prompt": "Hi", "completion": "Hello.", "label": True}) == ("kto", expected, [])
    assert canonical({"messages": [USER, ANSWER], "label": True}) == ("kto", expected, [])
    assert canonical({"messages": [USER, ANSWER], "label": "greeting"})[0] == "openai"


REFUSED = {
    "missing": ("prompt_completion", {"prompt": "Hi"}, "missing_field", "completion", ""),
    "null": ("prompt_completion", {"prompt": "Hi", "completion": None}, "missing_field", "completion", ""),
    "blank": ("alpaca", {"instruction": "Hi", "output": "  "}, "empty_field", "output", ""),
    "number": ("prompt_completion", {"prompt": "Hi", "completion": 4}, "wrong_type", "completion", ""),
    "no list": ("openai", {"messages": "Hi"}, "wrong_type", "messages", ""),
    "no turns": ("openai", {"messages": []}, "empty_field", "messages", ""),
    "turn is text": ("openai", {"messages": ["Hi"]}, "wrong_type", "messages", "messages[0]"),
    "no role": ("openai", {"messages": [{"content": "Hi"}]}, "missing_field", "messages", "messages[0]"),
    "unknown role": ("openai", {"messages": [USER, {"role": "wizard", "content": "x"}]}, "unknown_role", "messages", "messages[1].role"),
    "role is a number": ("sharegpt", {"conversations": [{"from": 1, "value": "x"}]}, "unknown_role", "conversations", "conversations[0].from"),
    "no text": ("openai", {"messages": [USER, {"role": "assistant", "content": ""}]}, "empty_content", "messages", "messages[1].content"),
    "picture": (
        "openai", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}, ANSWER]}, "media_part", "messages", "messages[0].content[1]",
    ),
    "picture with a text": (
        "openai", {"messages": [{"role": "user", "content": [{"type": "image", "text": "a"}]}, ANSWER]}, "media_part", "messages", "messages[0].content[0]",
    ),
    "part without text": (
        "openai", {"messages": [{"role": "user", "content": [{"type": "text"}]}, ANSWER]}, "wrong_type", "messages", "messages[0].content[0]",
    ),
    "part is a word": ("openai", {"messages": [{"role": "user", "content": ["a"]}, ANSWER]}, "wrong_type", "messages", "messages[0].content[0]"),
    "no answer": ("openai", {"messages": [USER]}, "no_assistant", "messages", ""),
    "bad call": (
        "sharegpt", {"conversations": [{"from": "function_call", "value": "x"}]}, "bad_tool_call", "conversations", "conversations[0].value",
    ),
    "bad tools": ("openai", {"messages": [USER, ANSWER], "tools": "calculator"}, "wrong_type", "tools", ""),
    "history": ("alpaca", {"instruction": "a", "output": "b", "history": [["x"]]}, "wrong_type", "history", ""),
    "half a character": ("text", {"text": "\ud83d"}, "invalid_unicode", "", ""),
    "same answers": ("preference", {"prompt": "Hi", "chosen": "a", "rejected": "a"}, "same_answers", "rejected", ""),
    "label": ("kto", {"prompt": "Hi", "completion": "a", "label": "maybe"}, "wrong_type", "label", ""),
}  # fmt: skip


@pytest.mark.parametrize(("format", "row", "rule", "column", "path"), REFUSED.values(), ids=REFUSED.keys())
def test_a_row_that_can_not_be_used_names_the_place(format: str, row: dict[str, Any], rule: str, column: str, path: str) -> None:
    error = refusal(row, format)
    assert (error.rule, error.column, error.path) == (rule, column, path)


@pytest.mark.parametrize(
    ("messages", "rule"),
    [
        ([USER, USER, ANSWER], "not_alternating"),
        ([USER, ANSWER, ANSWER], "not_alternating"),
        ([USER, ANSWER, USER], "ends_without_answer"),
        ([USER, {"role": "system", "content": "x"}, ANSWER], "system_not_first"),
    ],
)
def test_odd_conversations_are_kept_with_a_warning(messages: list[dict], rule: str) -> None:
    _, row, warned = canonical({"messages": messages})
    assert row["messages"] == messages
    assert warned == [rule]


def test_the_format_is_what_most_rows_have() -> None:
    rows = [{"text": "x"}, {"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}, {"other": 1}]
    shape = detect(rows, {})
    assert shape is not None
    assert shape.format == "prompt_completion"
    assert detect([{"question": "a", "answer": "b"}], {}) is None


def test_a_mapping_names_their_columns_in_both_directions() -> None:
    mapping = {"prompt": "question", "completion": "answer"}
    row = {"question": "Hi", "answer": "Hello.", "text": "kept aside"}
    assert canonical(row, mapping)[:2] == ("prompt_completion", {"messages": [USER, ANSWER], "tools": None})
    error = refusal({"question": "Hi"}, "prompt_completion", mapping)
    assert (error.rule, error.column) == ("missing_field", "answer")
    assert apply_mapping({"prompt": "theirs", "question": "ours"}, {"prompt": "question"}) == {"prompt": "ours"}


def test_rows_as_deep_as_python_goes_are_refused_not_crashed() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    assert refusal({"messages": [USER, {**ANSWER, "extra": deep}]}, "openai").rule == "too_deep"
