"""Preferences as tokens: the answers stay whole, prompts lose their beginning, what can't be learned is counted by line."""

from __future__ import annotations

import json

import pytest

from tests.engine.conftest import preference_rows, rated_rows, write_rows
from training.engine import chat
from training.engine.data import count_rows
from training.engine.failures import EngineError
from training.engine.preference_data import prepare_preferences
from training.engine.rundir import RunDir
from training.engine.stopping import StopRequest

pytestmark = pytest.mark.engine


def prepare(tmp_path, tokenizer, rows, *, kind="preference", rated=False, max_length=128):
    source = write_rows(tmp_path / "rows.parquet", rows)
    assert count_rows(source) == len(rows)
    stop = StopRequest(RunDir(tmp_path))
    return prepare_preferences(
        source, tmp_path / "out.arrow", tokenizer=tokenizer, kind=kind, rated=rated, max_length=max_length, stop=stop
    )


def turns(role: str, content: str) -> str:
    return json.dumps([{"role": role, "content": content}])


def test_prompt_and_answers_make_the_templates_text(tmp_path, tokenizer) -> None:
    prepared = prepare(tmp_path, tokenizer, preference_rows(6))
    first = prepared.load()[0]
    row = preference_rows(1)[0]
    prompt, chosen = json.loads(row["prompt"]), json.loads(row["chosen"])
    whole = tokenizer.apply_chat_template([*prompt, *chosen], tokenize=False).rstrip("\n")
    assert tokenizer.decode(first["prompt_ids"] + first["chosen_ids"]) == whole
    assert tokenizer.decode(first["prompt_ids"]).endswith("<|im_start|>assistant\n")
    assert first["rejected_ids"][-1] == first["chosen_ids"][-1] == tokenizer.eos_token_id
    assert (prepared.rows, prepared.cut, prepared.dropped) == (6, 0, [])
    assert "rather" in prepared.example


def test_the_special_tokens_are_not_looked_up_for_every_answer(tmp_path, tokenizer, monkeypatch) -> None:
    for_rows = chat.special_pattern(tokenizer)
    monkeypatch.setattr("training.engine.chat.special_pattern", lambda tokenizer: pytest.fail("asked for an answer"))
    monkeypatch.setattr("training.engine.preference_data.special_pattern", lambda tokenizer: for_rows)
    assert prepare(tmp_path, tokenizer, preference_rows(3)).rows == 3


def test_a_pair_is_a_good_and_a_bad_answer(tmp_path, tokenizer) -> None:
    rows = prepare(tmp_path, tokenizer, preference_rows(3), rated=True).load()
    assert rows["label"][:] == [True, False] * 3
    assert rows[0]["prompt_ids"] == rows[1]["prompt_ids"] and rows[0]["completion_ids"] != rows[1]["completion_ids"]
    rated = prepare(tmp_path, tokenizer, rated_rows(6), kind="unpaired", rated=True).load()
    assert rated["label"][:] == [True, True, False] * 2


def test_the_prompt_is_cut_from_the_left_and_the_answers_stay_whole(tmp_path, tokenizer) -> None:
    long = {"line": 1, "prompt": turns("user", "word " * 60 + "What does tea cost?")}
    long |= {"chosen": turns("assistant", "two coins"), "rejected": turns("assistant", "a lot")}
    prepared = prepare(tmp_path, tokenizer, [long], max_length=32)
    (row,) = prepared.load()
    assert prepared.cut == 1
    assert len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) == 32
    assert "two coins" in tokenizer.decode(row["chosen_ids"])
    assert tokenizer.decode(row["prompt_ids"]).endswith("cost?<|im_end|>\n<|im_start|>assistant\n")


def test_what_can_not_be_learned_is_counted_by_line(tmp_path, tokenizer) -> None:
    rows = preference_rows(3)
    rows[1]["rejected"] = rows[1]["chosen"]
    rows[2]["chosen"] = turns("assistant", "word " * 80)
    prepared = prepare(tmp_path, tokenizer, rows, max_length=64)
    assert (prepared.rows, prepared.dropped) == (1, [2, 3])


@pytest.mark.parametrize(("field", "value"), [("prompt", "no list"), ("chosen", "[]"), ("rejected", None), ("rejected", '["x"]')])
def test_a_broken_row_is_named_by_its_line(tmp_path, tokenizer, field, value) -> None:
    rows = preference_rows(3)
    rows[1][field] = value
    with pytest.raises(EngineError, match=r"(?i)(line|row) 2"):
        prepare(tmp_path, tokenizer, rows)
