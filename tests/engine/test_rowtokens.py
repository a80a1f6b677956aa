"""Rows measured and shown as training will see them: counts agree with the data that training makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from training.engine.data import IGNORED, prepare
from training.engine.rowtokens import RowTokens, fingerprint
from training.engine.rundir import RunDir
from training.engine.stopping import StopRequest

from .conftest import conversation


@pytest.fixture(scope="module")
def reader(tiny_model: Path) -> RowTokens:
    return RowTokens(tiny_model)


def row(*messages: tuple[str, str], **more: Any) -> dict:
    return {"line": 1, "messages": [{"role": role, "content": text} for role, text in messages], "tools": None, **more}


ROWS = [row(*((message["role"], message["content"]) for message in conversation(index))) for index in range(20)]
ROWS.append(row(("user", "Wie viel kostet der Käse? 🧀"), ("assistant", "Drei Münzen 🪙🪙, 谢谢.")))
ROWS.append(row(("user", "One?"), ("assistant", " Yes. "), ("user", "Two?"), ("assistant", "No.")))


@pytest.mark.parametrize("max_length", [12, 20, 64])
def test_it_counts_as_training_does(reader: RowTokens, tmp_path: Path, max_length: int) -> None:
    table = [{"line": line, "messages": json.dumps(item["messages"]), "tools": None} for line, item in enumerate(ROWS, 1)]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "rows.parquet")
    made = prepare(
        tmp_path / "rows.parquet", tmp_path / "out.arrow", tokenizer=reader.tokenizer, kind="sft", max_length=max_length,
        assistant_only=True, stop=StopRequest(RunDir(tmp_path)),
    )  # fmt: skip
    found = reader.measure(ROWS, "sft", max_length)
    assert sum(measure.trained_within for measure in found) == made.trained_tokens
    assert sum(measure.tokens > max_length for measure in found) == made.cut
    assert [line for line, measure in enumerate(found, 1) if not measure.trained_within] == made.dropped
    if max_length == 64:
        assert sum(min(measure.tokens, 64) for measure in found) == made.tokens
        assert all(measure.trained == measure.trained_within for measure in found if measure.tokens <= 64)


def test_text_counts_as_training_does(reader: RowTokens, tmp_path: Path) -> None:
    texts = ["What does tea cost?", "Two coins. " * 9]
    pq.write_table(pa.table({"line": [1, 2], "text": texts}), tmp_path / "rows.parquet")
    made = prepare(
        tmp_path / "rows.parquet", tmp_path / "out.arrow", tokenizer=reader.tokenizer, kind="text", max_length=16,
        assistant_only=True, stop=StopRequest(RunDir(tmp_path)),
    )  # fmt: skip
    found = reader.measure([{"line": 1, "text": text} for text in texts], "text", 16)
    assert sum(measure.trained_within for measure in found) == made.trained_tokens
    labels = made.load()[0]["labels"]
    assert IGNORED not in labels


def test_a_row_is_shown_with_its_answer_marked(reader: RowTokens) -> None:
    segments = reader.segments(row(("user", "What does tea cost?"), ("assistant", "Two coins.")), "sft")
    assert "".join(segment.text for segment in segments) == (
        "<|im_start|>user\nWhat does tea cost?<|im_end|>\n<|im_start|>assistant\nTwo coins.<|im_end|>\n"
    )
    assert [segment.text for segment in segments if segment.trained] == ["Two coins.<|im_end|>"]
    assert not any(segment.cut for segment in segments)


def test_what_lies_beyond_max_length_is_marked(reader: RowTokens) -> None:
    item = row(("user", "What does tea cost?"), ("assistant", "Two coins, and not one less. " * 4))
    total = reader.measure([item], "sft")[0].tokens
    segments = reader.segments(item, "sft", total - 5)
    cut = "".join(segment.text for segment in segments if segment.cut)
    shown = "".join(segment.text for segment in segments if not segment.cut)
    assert cut
    assert len(reader.tokenizer(shown, add_special_tokens=False)["input_ids"]) == total - 5


def test_comparisons_have_two_sides(reader: RowTokens) -> None:
    sides = [[{"role": "assistant", "content": text}] for text in ("Two coins.", "Go away, we have none of it " * 3)]
    item = {"line": 1, "prompt": [{"role": "user", "content": "Tea?"}], "chosen": sides[0], "rejected": sides[1]}
    both = [reader.measure([row(("user", "Tea?"), ("assistant", side[0]["content"]))], "sft")[0] for side in sides]
    assert reader.measure([item], "preference")[0] == both[1]
    assert next(segment.text for segment in reader.segments(item, "preference") if segment.trained) == "Two coins.<|im_end|>"


def test_a_template_that_refuses_says_why(tiny_model: Path, reader: RowTokens) -> None:
    picky = RowTokens(tiny_model)
    picky.tokenizer.chat_template = "{{ raise_exception('No system turns, please.') }}"
    found = picky.measure([ROWS[0]], "sft")[0]
    assert (found.tokens, "No system turns" in found.refused) == (0, True)
    assert "No system turns" in picky.segments(ROWS[0], "sft")[0].text


def test_a_tokenizer_saved_while_it_cut_and_filled_up_counts_all(tiny_model: Path, reader: RowTokens, tmp_path: Path) -> None:
    for path in tiny_model.glob("*token*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "chat_template.jinja").write_text(reader.tokenizer.chat_template)
    saved = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    saved.enable_truncation(4)
    saved.enable_padding(length=200)
    saved.save(str(tmp_path / "tokenizer.json"))
    assert RowTokens(tmp_path).measure(ROWS, "sft") == reader.measure(ROWS, "sft")


def test_another_template_is_another_fingerprint(tiny_model: Path, tmp_path: Path) -> None:
    before = fingerprint(tiny_model)
    for path in tiny_model.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert fingerprint(tmp_path) == before
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert fingerprint(tmp_path) != before
