"""Continued pre-training on plain text: no token is lost, texts end, and each kind of adapter learns."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.engine.conftest import built, conversation, events, losses, metrics, write_rows
from training.engine.data import _divided
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
IGNORED = -100


def story(index: int, sentences: int) -> str:
    return " ".join(conversation(index + part)[1]["content"] for part in range(sentences))


@pytest.fixture
def texts(tmp_path):
    """Texts of one to twelve sentences."""
    return write_rows(tmp_path / "texts.parquet", [{"line": i + 1, "text": story(i, 1 + i % 12)} for i in range(36)])


@pytest.mark.parametrize("length", [2, 8, 9, 15, 16, 17, 63, 64])
def test_every_token_but_the_first_is_learned_exactly_once(length) -> None:
    ids = list(range(100, 100 + length))
    pieces = _divided(ids, ids, 8)
    assert all(1 < len(piece) <= 8 for piece, _ in pieces)
    learned = [label for piece, labels in pieces for label in labels[1:]]
    assert learned == ids[1:]
    for (before, _), (piece, labels) in itertools.pairwise(pieces):
        assert piece[0] == before[-1] and labels[0] == IGNORED


def test_no_token_is_lost_and_texts_end(make_run, texts, tokenizer) -> None:
    import pyarrow.parquet as parquet

    trainer = built(make_run("pretrain", rows=texts, kind="text", max_length=32, eval_fraction=0, packing=False))
    rows = trainer.train_dataset
    assert all(len(row["input_ids"]) <= 32 for row in rows)
    learned = [label for row in rows for label in row["labels"][1:]]
    originals = [tokenizer(text + tokenizer.eos_token)["input_ids"] for text in parquet.read_table(texts)["text"].to_pylist()]
    assert learned == [token for ids in originals for token in ids[1:]]
    assert learned.count(tokenizer.eos_token_id) == 36
    assert len(rows) > 36


@pytest.mark.parametrize("adapter", ["none", "lora", "qlora"])
def test_it_learns_with_each_adapter(make_run, texts, adapter) -> None:
    run_dir = make_run(
        "pretrain", rows=texts, kind="text", adapter=adapter, max_steps=25, learning_rate=2e-2, lora_r=16, lora_alpha=64,
        per_device_train_batch_size=2,
    )  # fmt: skip
    assert run(run_dir.path) == 0
    assert losses(run_dir)[25] < 0.97 * losses(run_dir)[1]
    assert (run_dir.output / "adapter_model.safetensors").exists() == (adapter != "none")
    evaluated = [event["values"] for event in metrics(run_dir, "eval")]
    assert evaluated[-1]["eval_perplexity"] < evaluated[0]["eval_perplexity"]
    said = " ".join(event["text"] for event in events(run_dir, "log"))
    assert "were divided; no token is left out" in said or "longer" not in said
    assert "packed into" in said and json.loads((run_dir.output / "manifest.json").read_text())["method"] == "pretrain"


def test_samples_go_on_from_the_text(make_run, texts) -> None:
    run_dir = make_run("pretrain", rows=texts, kind="text", adapter="none", max_steps=40, learning_rate=1e-2,
                       sample_prompts=["The tea costs"], sample_max_new_tokens=8)  # fmt: skip
    assert run(run_dir.path) == 0
    assert "coins." in events(run_dir, "sample")[-1]["text"]


def test_conversations_are_not_its_rows(make_run) -> None:
    run_dir = make_run("pretrain")
    assert run(run_dir.path) == 2
    assert "pretrain learns from text rows" in events(run_dir, "failed")[0]["message"]
