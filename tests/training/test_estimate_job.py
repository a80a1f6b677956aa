from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core.errors import Invalid
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_dataset, make_job
from training import estimates, estimator, row_lengths
from training.devices import Device
from training.engine.plans import device_of
from training.engine.spec import Config, defaults_for
from training.estimates import Wanted, foresee
from training.estimator import Estimate, Estimator
from training.models import TrainingJob
from training.services import estimate_job as module
from training.services import estimate_places as places
from training.services.estimate_job import estimate_job

GIB = 1024**3
LLAMA_8B = {
    "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192, "tie_word_embeddings": False,
    "dtype": "bfloat16",
}  # fmt: skip
SMALL = LLAMA_8B | {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512}  # fmt: skip
H100 = Device("cuda:0", "cuda", "NVIDIA H100 80GB HBM3", "rack", 80 * GIB, 0, 0.0)
T4 = Device("cuda:0", "cuda", "Tesla T4", "old", 16 * GIB, 0, 0.0)
RTX = Device("cuda:0", "cuda", "NVIDIA GeForce RTX 4090", "desk", 24 * GIB, 0, 0.0)


def make_shaped(owner: User, config: dict[str, Any], **values: Any) -> LanguageModel:
    """A base model whose files say its shape; it has no weights."""
    model = make_base_model(owner, **values)
    model.directory.mkdir(parents=True, exist_ok=True)
    (model.directory / "config.json").write_text(json.dumps(config))
    return model


@pytest.fixture
def small(alice: User) -> LanguageModel:
    return make_shaped(alice, SMALL)


@pytest.fixture
def large(alice: User) -> LanguageModel:
    return make_shaped(alice, LLAMA_8B, name="8B", family="8B")


@pytest.fixture
def dataset(alice: User) -> Dataset:
    return make_dataset(alice, rows=100)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that this machine's first device is another one."""
    return lambda device: monkeypatch.setattr(module, "worker_devices", lambda: [device])


def ask(owner: User, model: LanguageModel, dataset: Dataset, method: str = "lora", **config: Any) -> Estimate:
    return estimate_job(owner=owner, model_id=model.pk, dataset_id=dataset.pk, method=method, config=config)


def test_it_counts_the_steps_as_the_engine_will(alice: User, small: LanguageModel, dataset: Dataset) -> None:
    found = ask(alice, small, dataset, num_train_epochs=3, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    assert found.steps == 3 * 12  # 90 rows are learned: 23 micro-batches, 12 steps an epoch
    assert ask(alice, small, dataset, max_steps=7).steps == 7
    assert found.tokens > 3 * 90 * 5


def test_it_knows_what_an_8b_model_needs(alice: User, large: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(H100)
    lora, full = ask(alice, large, dataset), ask(alice, large, dataset, "sft")
    # 8.03 billion parameters: 16 GB in bfloat16; full training holds 16 bytes for each.
    assert lora.memory_bytes["parts"]["weights"] == pytest.approx(16.2e9, rel=0.02)
    assert lora.fits is True
    assert lora.memory_bytes["expected"] < 24 * GIB
    assert full.memory_bytes["low"] > 16 * 8.03e9
    assert full.fits is False


def test_the_range_holds_the_expected_value(alice: User, small: LanguageModel, dataset: Dataset) -> None:
    found = ask(alice, small, dataset)
    memory = found.memory_bytes
    assert memory["low"] <= memory["expected"] <= memory["high"]
    assert set(memory["parts"]) == {"weights", "gradients", "optimizer", "activations", "logits", "overhead"}
    assert 0 < found.duration_seconds.low < found.duration_seconds.high
    assert found.cost == {"low": 0.0, "high": 0.0, "currency": "USD", "price_as_of": None}


def test_its_advice_makes_the_job_fit(alice: User, large: LanguageModel, on: Any) -> None:
    on(RTX)
    long = make_dataset(alice, name="long", rows=64)
    write_long_rows(long, 64)
    config = {"per_device_train_batch_size": 4, "max_length": 2048, "gradient_checkpointing": False}
    found = ask(alice, large, long, **config)
    assert found.fits is False
    assert found.advice
    for advice in found.advice:
        changed = ask(alice, large, long, advice.method or "lora", **(config | advice.config))
        assert changed.fits is True, advice
    assert found.advice[0].config == {"gradient_checkpointing": True}
    assert any("max_length" in advice.config for advice in found.advice)


def test_changes_are_combined_where_none_is_enough(alice: User, large: LanguageModel, on: Any) -> None:
    on(RTX)
    long = make_dataset(alice, name="long", rows=64)
    write_long_rows(long, 64)
    config = {"per_device_train_batch_size": 16, "max_length": 2048, "gradient_checkpointing": False}
    advice, *others = ask(alice, large, long, **config).advice
    assert all("max_length" in other.config for other in others)
    assert advice.config["per_device_train_batch_size"] * advice.config["gradient_accumulation_steps"] == 16
    assert advice.config["gradient_checkpointing"] is True
    assert "max_length" not in advice.config  # what changes the result comes last
    assert ask(alice, large, long, **(config | advice.config)).fits is True


def test_it_advises_lora_where_full_training_does_not_fit(alice: User, large: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(RTX)
    assert "lora" in [advice.method for advice in ask(alice, large, dataset, "sft").advice]


def test_it_advises_nothing_where_nothing_helps(alice: User, large: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(Device("cuda:0", "cuda", "NVIDIA T4", "small", 1 * GIB, 0, 0.0))
    found = ask(alice, large, dataset)
    assert (found.fits, found.advice) == (False, [])


def test_it_does_not_judge_what_it_can_not_see(alice: User, small: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(Device("cuda:0", "cuda", "A GPU that says nothing", "x", None, None, None))
    assert ask(alice, small, dataset).fits is None


def test_memory_in_use_counts_but_our_own_running_job_will_end(
    alice: User, small: LanguageModel, dataset: Dataset, on: Any
) -> None:
    on(Device("cuda:0", "cuda", "NVIDIA H100", "x", 80 * GIB, 50 * GIB, 1.0))
    assert ask(alice, small, dataset).device_free_bytes == 30 * GIB
    make_job(alice, model=small, dataset=dataset, status="running", memory={"peak_bytes": 40 * GIB, "device": "cuda"})
    assert ask(alice, small, dataset).device_free_bytes == 70 * GIB


def test_it_says_how_many_rows_are_cut(alice: User, small: LanguageModel) -> None:
    long = make_dataset(alice, rows=40)
    write_long_rows(long, 40)
    assert ask(alice, small, long, max_length=64).truncated_share == 1.0
    assert ask(alice, small, long, max_length=4096).truncated_share == 0.0


def test_a_similar_run_corrects_the_estimate(alice: User, small: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(H100)
    before = ask(alice, small, dataset)
    finish(alice, small, dataset, before, seconds=3.0, memory=1.2)
    after = ask(alice, small, dataset)
    assert "nothing yet" in before.calibrated_on
    assert "1 finished run of this model and method" in after.calibrated_on
    assert after.memory_bytes["expected"] == pytest.approx(1.2 * before.memory_bytes["expected"], rel=0.05)
    spread = after.duration_seconds.high / after.duration_seconds.low
    assert spread < before.duration_seconds.high / before.duration_seconds.low


def test_runs_here_say_nothing_of_how_fast_a_providers_device_is(
    alice: User, large: LanguageModel, dataset: Dataset, on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that took what was foreseen for this machine's device corrects nothing, and is looked at once for each kind of device."""
    for asker in (estimator, places):
        monkeypatch.setattr(asker, "worker_devices", lambda: [T4])
    wanted = Wanted(large, dataset, "lora", Config(**defaults_for("lora")))
    blind = foresee(wanted, device_of(T4.kind, T4.name))
    make_job(
        alice, model=large, dataset=dataset, status="succeeded", train_split="train", finished_at=timezone.now(),
        progress={"elapsed_seconds": blind.training_seconds}, metrics={"num_tokens": blind.work.tokens},
        memory={"peak_bytes": blind.memory.expected, "device": "cuda"},
    )  # fmt: skip
    assert foresee(wanted, device_of(H100.kind, H100.name)).training_seconds < blind.training_seconds / 2
    here, there = Estimator(wanted, T4), Estimator(wanted, H100, here=False)
    for calibration in (here.calibration, there.calibration):
        assert (calibration.pace.computing, calibration.pace.layers) == (pytest.approx(1.0), pytest.approx(1.0))
    assert here.calibration.memory == pytest.approx(1.0, rel=0.01)
    looked: list[str] = []
    monkeypatch.setattr(estimates, "_finished", lambda kind: looked.append(kind) or [])
    places.estimate_places(owner=alice, model_id=large.pk, dataset_id=dataset.pk, method="lora")
    assert sorted(looked) == ["cpu", "cuda"]


def test_a_run_that_failed_teaches_nothing(alice: User, small: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(H100)
    before = ask(alice, small, dataset)
    finish(alice, small, dataset, before, seconds=3.0, memory=1.2, status="failed")
    assert ask(alice, small, dataset) == before


def test_a_run_without_numbers_teaches_nothing(alice: User, small: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(H100)
    before = ask(alice, small, dataset)
    make_job(alice, model=small, dataset=dataset, status="succeeded", memory={"device": "cuda"}, finished_at=timezone.now())
    assert ask(alice, small, dataset) == before


def test_it_refuses_a_model_whose_files_are_gone(alice: User, dataset: Dataset) -> None:
    with pytest.raises(Invalid) as refused:
        ask(alice, make_base_model(alice), dataset)
    assert "model_id" in refused.value.fields


def test_it_refuses_what_create_job_refuses(alice: User, small: LanguageModel, dataset: Dataset) -> None:
    with pytest.raises(Invalid) as refused:
        ask(alice, small, dataset, learning_rate=-1)
    assert "learning_rate" in refused.value.fields
    with pytest.raises(Invalid) as refused:
        ask(alice, small, make_dataset(alice, kind="preference"))
    assert "dataset_id" in refused.value.fields


# --- Surfaces ------------------------------------------------------------------------------------


def test_the_api_answers_with_the_contract(api: APIClient, small: LanguageModel, dataset: Dataset) -> None:
    body = {"name": "x", "model_id": small.pk, "dataset_id": dataset.pk, "method": "lora", "executor": "local", "config": {}}
    answer = api.post("/api/training/estimate", body, format="json")
    assert answer.status_code == 200, answer.json()
    found = answer.json()
    assert {"tokens", "steps", "duration_seconds", "memory_bytes", "fits", "device", "cost", "advice", "calibrated_on"} <= set(
        found
    )
    assert {"low", "high", "parts"} <= set(found["memory_bytes"])
    assert TrainingJob.objects.count() == 0


@pytest.mark.parametrize("path", ["estimate", "estimate/places"])
def test_whatever_a_job_may_say_can_be_estimated(api: APIClient, small: LanguageModel, dataset: Dataset, path: str) -> None:
    body = {"model_id": small.pk, "dataset_id": dataset.pk, "method": "lora"}
    more = {"name": "x", "start": True, "budget": "5", "keep_remote": True, "report_to": ["wandb"]}
    assert api.post(f"/api/training/{path}", body | more, format="json").status_code == 200


def test_a_stranger_learns_nothing(charlie_api: APIClient, charlie_page: Client, small: LanguageModel, dataset: Dataset) -> None:
    body = {"model_id": small.pk, "dataset_id": dataset.pk, "method": "lora"}
    answer = charlie_api.post("/api/training/estimate", body, format="json")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"model_id"}
    shown = charlie_page.post("/training/estimate", body, headers={"HX-Request": "true"})
    assert b"stat-value" not in shown.content


def test_the_api_names_the_field_at_fault(api: APIClient, small: LanguageModel, dataset: Dataset) -> None:
    body = {"model_id": small.pk, "dataset_id": dataset.pk, "method": "lora", "config": {"max_length": 1}}
    answer = api.post("/api/training/estimate", body, format="json")
    assert answer.status_code == 400
    assert "max_length" in answer.json()["fields"]


def test_the_page_shows_the_estimate(page: Client, small: LanguageModel, dataset: Dataset) -> None:
    body = {"model_id": small.pk, "dataset_id": dataset.pk, "method": "lora"}
    shown = page.post("/training/estimate", body, headers={"HX-Request": "true"}).content.decode()
    assert "stat-value" in shown
    assert "Where the memory goes" in shown
    assert "<html" not in shown


def test_the_page_offers_the_advice_with_one_click(page: Client, large: LanguageModel, dataset: Dataset, on: Any) -> None:
    on(RTX)
    body = {"model_id": large.pk, "dataset_id": dataset.pk, "method": "sft"}
    shown = page.post("/training/estimate", body, headers={"HX-Request": "true"}).content.decode()
    assert "callout-bad" in shown
    assert "&quot;method&quot;: &quot;lora&quot;" in shown
    assert 'hx-target="#options"' in shown


def test_the_page_asks_for_what_is_missing(page: Client, small: LanguageModel) -> None:
    shown = page.post("/training/estimate", {"method": "lora"}, headers={"HX-Request": "true"}).content.decode()
    assert "Choose a model and a dataset" in shown


def test_the_estimate_works_without_htmx(page: Client, small: LanguageModel, dataset: Dataset) -> None:
    body = {"model_id": small.pk, "dataset_id": dataset.pk, "method": "lora"}
    shown = page.post("/training/estimate", body).content.decode()
    assert "<html" in shown
    assert "stat-value" in shown


# --- Lengths of rows -----------------------------------------------------------------------------


def test_a_larger_vocabulary_needs_fewer_tokens() -> None:
    sizes = [row_lengths.bytes_per_token(size) for size in (100, 256, 1000, 4096, 50_000, 1_000_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1.0


def test_a_sample_is_taken_from_the_whole_file(alice: User) -> None:
    found = row_lengths.sample_rows(make_dataset(alice, rows=1000).rows_file, "sft")
    assert len(found.rows) == row_lengths.SAMPLE
    assert found.rows[-1][0] > found.rows[0][0]  # “Say 995” is longer than “Say 0”
    assert 0 < found.labelled < 1


def test_other_scripts_need_more_tokens_for_a_letter(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"line": [1, 2], "text": ["a" * 100, "字" * 100]}), tmp_path / "rows.parquet")
    latin, han = row_lengths.sample_rows(tmp_path / "rows.parquet", "text").lengths(128_000)
    assert han == 100
    assert latin < 30


def write_long_rows(dataset: Dataset, rows: int) -> None:
    """Rows of about 1,500 tokens."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    message = [{"role": "user", "content": "word " * 600}, {"role": "assistant", "content": "word " * 800}]
    table = pa.table({"line": list(range(1, rows + 1)), "messages": [json.dumps(message)] * rows})
    pq.write_table(table, dataset.rows_file)


def finish(
    owner: User, model: LanguageModel, dataset: Dataset, foreseen: Estimate, *, seconds: float, memory: float, status: str = "succeeded"
) -> TrainingJob:  # fmt: skip
    """A run that took so many times what was foreseen."""
    return make_job(
        owner, model=model, dataset=dataset, status=status, train_split="train", finished_at=timezone.now(),
        progress={"elapsed_seconds": seconds}, metrics={"num_tokens": foreseen.tokens},
        memory={"peak_bytes": int(memory * foreseen.memory_bytes["expected"]), "device": "cuda"},
    )  # fmt: skip
