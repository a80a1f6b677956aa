"""The sample: made without a network, the same each time, ignorant at first and able to learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import metrics, write_rows
from training.engine.run import run
from training.engine.sample import PRETRAINING, SAMPLE_CONFIG, create_sample_model, sample_file, sample_rows
from training.engine.sample_text import conversations
from training.engine.spec import check_config

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIFT_CACHE_DIR", str(cache))
        return create_sample_model(tmp_path_factory.mktemp("sample") / "model")


def answer(model: Any, tokenizer: Any, question: str) -> str:
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
    written = model.generate(ids, max_new_tokens=50, do_sample=False)
    return tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)


def test_it_is_trained_once_and_then_copied(sample: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIFT_CACHE_DIR", str(cache))
    monkeypatch.setattr("training.engine.sample._train", lambda directory: pytest.fail("trained again"))
    again = create_sample_model(tmp_path / "model")
    assert {file.name: file.read_bytes() for file in again.iterdir()} == {file.name: file.read_bytes() for file in sample.iterdir()}
    assert not list(tmp_path.glob(".*")) and len(list((cache / "samples").iterdir())) == 1


def test_the_rows_are_many_and_whole() -> None:
    rows = sample_rows()
    assert len(rows) >= 300 and sample_file().suffix == ".jsonl"
    assert len({row["messages"][0]["content"] for row in rows}) > 0.98 * len(rows)
    assert all([message["role"] for message in row["messages"]] == ["user", "assistant"] for row in rows)
    assert all(message["content"].strip() for row in rows for message in row["messages"])


def test_the_base_never_reads_an_answer() -> None:
    """Pre-training text shares the words with the dataset, and not one whole answer."""
    read = " ".join(message["content"] for talk in conversations(3000, ["a", "b", "c"] * 9, 1) for message in talk)
    assert not [row for row in sample_rows() if row["messages"][1]["content"] in read]


def test_its_settings_are_ones_a_user_may_choose() -> None:
    assert check_config("lora", SAMPLE_CONFIG)["lora_r"] == SAMPLE_CONFIG["lora_r"]


def test_a_fine_tune_teaches_it_the_answers(sample, make_run, tmp_path) -> None:
    """Eight facts in five phrasings each, some seconds of training: the demo in small."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    facts: dict[str, list[str]] = {}
    for row in sample_rows():
        facts.setdefault(row["messages"][1]["content"], []).append(row["messages"][0]["content"])
    taught = dict(list(facts.items())[:8])
    pairs = [(question, answer) for answer, questions in taught.items() for question in questions]
    rows = [{"line": i + 1, "messages": json.dumps([{"role": "user", "content": q}, {"role": "assistant", "content": a}])}
            for i, (q, a) in enumerate(pairs)]  # fmt: skip
    run_dir = make_run(
        "lora",
        model=sample,
        rows=write_rows(tmp_path / "facts.parquet", rows),
        **SAMPLE_CONFIG | {"num_train_epochs": 24.0, "max_steps": None},
    )
    assert run(run_dir.path) == 0
    evaluated = [event["values"]["eval_loss"] for event in metrics(run_dir, "eval")]
    assert evaluated[-1] < 0.7 * evaluated[0]

    base, tokenizer = AutoModelForCausalLM.from_pretrained(sample), AutoTokenizer.from_pretrained(sample)
    asked = [questions[0] for questions in taught.values()]
    before = [answer(base, tokenizer, question) for question in asked]
    assert all(text.strip() for text in before)
    assert sum(text in taught for text in before) <= 1
    tuned = PeftModel.from_pretrained(base, run_dir.output)
    right = sum(answer(tuned, tokenizer, questions[0]) == expected for expected, questions in taught.items())
    assert right >= 6


def test_it_is_the_same_each_time(sample, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(PRETRAINING, "rows", 64)  # a few of its 140 steps
    one, other = (create_sample_model(tmp_path / name) / "model.safetensors" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes() != (sample / "model.safetensors").read_bytes()
    assert (sample / "README.md").exists() and json.loads((sample / "config.json").read_text())["model_type"] == "llama"
