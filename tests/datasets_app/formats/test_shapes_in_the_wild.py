"""Rows as other tools write them, and what becomes of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datasets_app.formats.mapping import MappingError, read_mapping
from datasets_app.formats.peers import BadPeer, axolotl_mapping, read_index
from datasets_app.formats.problems import RowError
from datasets_app.formats.schemas import detect, normalise


def built(row: dict, mapping: dict | None = None) -> tuple[str, dict[str, Any]]:
    """The format of one row and its canonical form, lists decoded."""
    mapping = read_mapping(mapping or {})
    shape = detect([row], mapping)
    assert shape is not None
    values = normalise(shape, row, mapping, lambda *warning: None).values
    return shape.format, {
        name: json.loads(value) if isinstance(value, str) and name != "text" else value
        for name, value in values.items()
        if value is not None
    }


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def told(text: str, **more: Any) -> dict:
    return {"role": "assistant", "content": text, **more}


SFT = {
    "instruction with system and history": (
        {"instruction": "c", "input": "d", "output": "e", "system": "s", "history": [["a", "b"]]},
        "alpaca", [{"role": "system", "content": "s"}, user("a"), told("b"), user("c\n\nd"), told("e")],
    ),
    "prompt, completion and history": (
        {"prompt": "c", "completion": "d", "history": [["a", "b"]]}, "prompt_completion", [user("a"), told("b"), user("c"), told("d")],
    ),
    "reasoning beside the answer": (
        {"prompt": "a", "completion": "b", "reasoning": "hm"}, "prompt_completion", [user("a"), told("b", reasoning_content="hm")],
    ),
    "thinking inside a turn": (
        {"messages": [user("a"), told("b", thinking="hm")]}, "openai", [user("a"), told("b", reasoning_content="hm")],
    ),
    "think tags stay where they are": (
        {"messages": [user("a"), told("<think>hm</think>b")]}, "openai", [user("a"), told("<think>hm</think>b")],
    ),
    "weights": ({"messages": [user("a"), told("b", weight=0), user("c"), told("d", weight=1)]}, "openai",
                [user("a"), told("b", weight=0), user("c"), told("d", weight=1)]),
    "training flags of axolotl": ({"messages": [user("a"), told("b", train=False)]}, "openai", [user("a"), told("b", weight=0)]),
    "a call in the old spelling": (
        {"messages": [user("a"), {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x": 1}'}}, {"role": "function", "name": "f", "content": "1"}, told("b")]},
        "openai",
        [user("a"), told("", tool_calls=[{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]), {"role": "tool", "content": "1", "name": "f"}, told("b")],
    ),
    "a thought before a call": (
        {"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": '<think>hm</think>\n{"name": "f", "arguments": {}}'}, {"from": "observation", "value": "1"}, {"from": "gpt", "value": "b"}]},
        "sharegpt",
        [user("a"), told("", reasoning_content="hm", tool_calls=[{"type": "function", "function": {"name": "f", "arguments": {}}}]), {"role": "tool", "content": "1"}, told("b")],
    ),
    "axolotl's segments": (
        {"segments": [{"label": False, "text": "<s>a"}, {"label": True, "text": "b"}, {"label": True, "text": "c"}]},
        "prompt_completion", [user("<s>a"), told("bc")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("row", "format", "messages"), SFT.values(), ids=SFT)
def test_examples_to_imitate(row: dict, format: str, messages: list[dict]) -> None:
    assert built(row) == (format, {"messages": messages})


PAIR = {"prompt": [user("a")], "chosen": [told("b")], "rejected": [told("c")]}
PREFERENCES = {
    "explicit prompt": {"prompt": "a", "chosen": "b", "rejected": "c"},
    "implicit prompt": {"chosen": [user("a"), told("b")], "rejected": [user("a"), told("c")]},
    "prompt repeated in both": {"prompt": "a", "chosen": [user("a"), told("b")], "rejected": [user("a"), told("c")]},
    "sharegpt ranking": {"conversations": [{"from": "human", "value": "a"}], "chosen": {"from": "gpt", "value": "b"}, "rejected": {"from": "gpt", "value": "c"}},
    "openai": {"input": {"messages": [user("a")], "tools": []}, "preferred_output": [told("b")], "non_preferred_output": [told("c")]},
    "anthropic": {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
    "alpaca ranking": {"instruction": "a", "input": "", "chosen": "b", "rejected": "c"},
    "argilla": {"instruction": "a", "chosen_response": "b", "rejected_response": "c"},
    "question": {"question": "a", "chosen": "b", "rejected": "c"},
    "turns as json text": {"prompt": "a", "chosen": json.dumps([told("b")]), "rejected": json.dumps([told("c")])},
}  # fmt: skip


@pytest.mark.parametrize("row", PREFERENCES.values(), ids=PREFERENCES)
def test_better_and_worse(row: dict) -> None:
    assert built(row) == ("preference", PAIR)


def test_anthropic_turns_before_the_answer_are_the_prompt() -> None:
    start = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c"
    row = {"chosen": f"{start}\n\nAssistant: d", "rejected": f"{start}\n\nAssistant: e"}
    assert built(row)[1]["prompt"] == [user("a"), told("b"), user("c")]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a", "completion": "b", "label": True},
        {"instruction": "a", "input": "", "output": "b", "kto_tag": True},
        {"messages": [user("a"), told("b")], "label": "true"},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "kto_tag": 1},
        {"completion": [user("a"), told("b")], "label": True},
    ],
)
def test_judged_answers(row: dict) -> None:
    assert built(row) == ("kto", {"prompt": [user("a")], "completion": [told("b")], "label": True})


def test_a_class_label_makes_no_kto() -> None:
    assert built({"instruction": "a", "output": "b", "label": 1})[0] == "alpaca"


MAPPED = {
    "path": (
        {"q": {"text": "a"}, "answers": [{"t": "x"}, {"t": "b"}]},
        {"prompt": {"path": "q.text"}, "completion": {"path": "answers[-1].t"}},
    ),
    "path into json text": ({"q": '{"text": "a"}', "b": "b"}, {"prompt": {"path": "$.q.text"}, "completion": "b"}),
    "template": ({"t": "a", "c": "b", "d": ""}, {"prompt": {"template": "{t}{d}"}, "completion": "c"}),
    "constant": ({"c": "b"}, {"prompt": {"const": "a"}, "completion": "c"}),
    "a dot in the name": ({"q.text": "a", "c": "b"}, {"prompt": {"path": "q.text"}, "completion": "c"}),
}


@pytest.mark.parametrize(("row", "mapping"), MAPPED.values(), ids=MAPPED)
def test_a_field_is_filled_from_anywhere(row: dict, mapping: dict) -> None:
    assert built(row, mapping) == ("prompt_completion", {"messages": [user("a"), told("b")]})


def test_a_template_writes_braces_and_leaves_out_what_is_missing() -> None:
    row = {"title": "T", "n": 3, "answer": "b"}
    mapping = {"prompt": {"template": "{{{title}}} {n} {gone}!"}, "completion": "answer"}
    assert built(row, mapping)[1]["messages"][0]["content"] == "{T} 3 !"
    with pytest.raises(RowError, match="empty"):
        built({"title": None, "answer": "b"}, {"prompt": {"template": "{title}"}, "completion": "answer"})


def test_roles_and_keys_of_turns_can_be_named() -> None:
    row = {"dialogue": [{"speaker": "customer", "line": "a"}, {"speaker": "agent", "line": "b"}]}
    options = {"role_key": "speaker", "content_key": "line", "roles": {"customer": "user", "agent": "assistant"}}
    assert built(row, {"conversations": "dialogue", "options": options})[1] == {"messages": [user("a"), told("b")]}


@pytest.mark.parametrize(
    "mapping",
    [
        {"prompt": {"path": "a[", }, "completion": "b"}, {"prompt": {"path": ""}, "completion": "b"}, {"prompt": {"template": "{a"}, "completion": "b"},
        {"prompt": {"const": [1]}, "completion": "b"}, {"prompt": {"path": "a", "const": "b"}}, {"prompt": 5}, {"prompt": {"sum": "a"}},
        {"options": {"document": "page"}}, {"options": {"roles": {"a": "judge"}}}, {"options": []}, {"options": {"speed": 1}},
        {"options": {"axolotl": "nothing"}}, {"options": {"axolotl": "stepwise_supervised"}},
    ],
)  # fmt: skip
def test_a_mapping_that_means_nothing_is_refused(mapping: dict) -> None:
    with pytest.raises(MappingError) as refusal:
        read_mapping(mapping)
    assert str(refusal.value).endswith(".")


def test_axolotl_types_are_mappings() -> None:
    row = {"question": "a", "answer": "b", "category": "SUMS"}
    assert built(row, {"options": {"axolotl": "alpaca_chat.load_qa"}})[1]["messages"] == [user("a"), told("b")]
    assert built(row, {"options": {"axolotl": "jeopardy"}})[1]["messages"] == [user("SUMS: a"), told("b")]
    orca = {"system_prompt": "s", "question": "a", "response": "b"}
    assert len(built(orca, {"options": {"axolotl": "alpaca_w_system.load_open_orca"}})[1]["messages"]) == 3
    assert axolotl_mapping("llama3.argilla") == axolotl_mapping("chatml.argilla")
    assert built({"instruction": "a", "output": "b"}, {"options": {"axolotl": "alpaca:chatml"}})[0] == "alpaca"


def test_llamafactorys_index_is_understood() -> None:
    index = read_index(json.dumps({
        "plain": {"file_name": "a.json"},
        "renamed": {"file_name": "sub/b.json", "columns": {"prompt": "q", "response": "r", "system": "s"}},
        "tagged": {"file_name": "c.json", "formatting": "sharegpt", "columns": {"messages": "talk"},
                   "tags": {"role_tag": "who", "content_tag": "what", "user_tag": "me", "assistant_tag": "it"}},
        "ranked": {"file_name": "d.json", "ranking": True, "formatting": "sharegpt", "columns": {"messages": "conversations", "chosen": "good", "rejected": "bad"}},
        "kto": {"file_name": "e.json", "columns": {"prompt": "q", "response": "r", "kto_tag": "ok"}},
        "pretrain": {"file_name": "f.txt", "columns": {"prompt": "text"}},
        "hub": {"hf_hub_url": "a/b"},
    }).encode())  # fmt: skip
    assert set(index) == {"a.json", "b.json", "c.json", "d.json", "e.json", "f.txt"}
    assert built({"q": "a", "r": "b", "s": "s"}, index["b.json"])[1]["messages"][1:] == [user("a"), told("b")]
    assert built({"talk": [{"who": "me", "what": "a"}, {"who": "it", "what": "b"}]}, index["c.json"]) == (
        "sharegpt", {"messages": [user("a"), told("b")]}
    )  # fmt: skip
    ranked = {
        "conversations": [{"from": "human", "value": "a"}],
        "good": {"from": "gpt", "value": "b"},
        "bad": {"from": "gpt", "value": "c"},
    }
    assert built(ranked, index["d.json"]) == ("preference", PAIR)
    assert built({"q": "a", "r": "b", "ok": False}, index["e.json"])[1]["label"] is False
    assert built({"text": "a"}, index["f.txt"]) == ("text", {"text": "a"})
    for broken in (b"{", b"[]", b"\xff"):
        with pytest.raises(BadPeer):
            read_index(broken)


def test_numbers_that_json_does_not_have_are_a_problem_of_their_row() -> None:
    call = {"name": "f", "arguments": {"x": float("nan")}}
    with pytest.raises(RowError, match="NaN"):
        built({"messages": [user("a"), told("", tool_calls=[call])]})
