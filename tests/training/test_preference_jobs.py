"""Jobs that learn from preferences: what is accepted, what is refused by name, and what is foreseen for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from tests.factories import make_base_model, make_dataset
from training.models import TrainingJob
from training.spec_fields import describe_fields

PAIR = {
    "prompt": [{"role": "user", "content": "Is it late?"}],
    "chosen": [{"role": "assistant", "content": "It is just past nine, so not very."}],
    "rejected": [{"role": "assistant", "content": "No."}],
}


def make_pairs(owner: User, rows: int = 40) -> Dataset:
    """A ready preference dataset with its rows on disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    dataset = make_dataset(owner, rows=rows, name="pairs", kind="preference", format="preference")
    columns = {name: [json.dumps(turns)] * rows for name, turns in PAIR.items()}
    pq.write_table(pa.table({"line": list(range(1, rows + 1)), **columns}), dataset.rows_file)
    return dataset


@pytest.fixture
def body(alice: User) -> dict[str, Any]:
    return {"name": "kinder", "model_id": make_base_model(alice).pk, "dataset_id": make_pairs(alice).pk, "method": "dpo"}


@pytest.mark.parametrize("method", ["dpo", "orpo", "kto"])
def test_a_pair_dataset_suits_each_of_them(api: APIClient, body: dict, method: str) -> None:
    job = api.post("/api/training", {**body, "method": method})
    assert job.status_code == 201, job.data
    config = job.json()["config"]
    assert (config["adapter"], config["beta"], config["learning_rate"]) == ("lora", 0.1, 5e-5)
    assert "packing" not in config and ("loss_type" in config) == (method != "orpo")


def test_every_weight_learns_at_a_tenth_of_the_rate(api: APIClient, body: dict) -> None:
    full = api.post("/api/training", {**body, "config": {"adapter": "none"}}).json()
    assert full["config"]["learning_rate"] == 5e-6
    again = api.patch(f"/api/training/{full['id']}", {"config": {"adapter": "lora"}}).json()
    assert again["config"]["learning_rate"] == 5e-5


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"config": {"packing": True}}, "packing"),
        ({"config": {"assistant_only_loss": False}}, "assistant_only_loss"),
        ({"config": {"loss_type": "kto"}}, "loss_type"),
        ({"config": {"loss_type": "exo_pair"}}, "label_smoothing"),
        ({"config": {"desirable_weight": 2}}, "desirable_weight"),
        ({"config": {"num_gpus": 2}}, "num_gpus"),
        ({"config": {"init_lora_weights": "pissa", "adapter": "qlora"}}, "init_lora_weights"),
        ({"method": "orpo", "config": {"label_smoothing": 0.1}}, "label_smoothing"),
        ({"method": "kto", "config": {"loss_type": "sigmoid"}}, "loss_type"),
        ({"method": "kto", "config": {"per_device_train_batch_size": 1}}, "per_device_train_batch_size"),
        ({"method": "lora"}, "dataset_id"),
        ({"method": "lora", "config": {"beta": 0.5}}, "dataset_id"),
    ],
)
def test_what_means_nothing_is_refused_by_name(api: APIClient, body: dict, change: dict, field: str) -> None:
    answer = api.post("/api/training", {**body, **change})
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert not TrainingJob.objects.exists()


def test_conversations_are_no_preferences(api: APIClient, alice: User, body: dict) -> None:
    answer = api.post("/api/training", {**body, "dataset_id": make_dataset(alice).pk})
    assert "preference pairs" in answer.json()["fields"]["dataset_id"][0]


def test_the_form_and_the_catalogue_offer_what_fits(page: Client) -> None:
    losses = {method: {item["name"]: item for item in describe_fields(method)} for method in ("dpo", "kto")}
    assert losses["kto"]["loss_type"]["choices"] == ["kto", "apo_zero_unpaired"] and losses["kto"]["loss_type"]["default"] == "kto"
    assert "sigmoid" in losses["dpo"]["loss_type"]["choices"] and "desirable_weight" not in losses["dpo"]
    shown = page.get("/training/new?method=dpo").content.decode()
    assert 'name="beta"' in shown and 'name="adapter"' in shown and 'name="packing"' not in shown


@pytest.mark.parametrize("adapter", ["none", "lora", "qlora"])
@pytest.mark.parametrize("method", ["dpo", "orpo", "kto"])
def test_each_is_foreseen(alice: User, body: dict, method: str, adapter: str) -> None:
    from training.engine.plans import device_of, forecast
    from training.engine.shapes import shape_from_config
    from training.engine.spec import Config, check_config

    shape = shape_from_config(
        {"model_type": "llama", "hidden_size": 512, "intermediate_size": 1280, "num_hidden_layers": 6, "num_attention_heads": 8,
         "vocab_size": 4096, "max_position_embeddings": 2048}
    )  # fmt: skip
    config = Config(**check_config(method, {"adapter": adapter}))
    found = forecast(shape, method, config, device_of("cuda", "NVIDIA L4"), lengths=[100], rows=100, eval_rows=10)
    assert found.plan.adapter == adapter and found.training_seconds > 0
    assert found.work.steps == 25 * (3 if method == "orpo" else 1)
    assert found.plan.tokens == 400 * (1 if method == "kto" else 2)


def test_the_lengths_of_pairs_are_those_of_both_answers(alice: User) -> None:
    from training.row_lengths import sample_rows

    sample = sample_rows(make_pairs(alice).rows_file, "preference")
    assert len(sample.rows) == 80
    assert sample.rows[0][2] == len(PAIR["chosen"][0]["content"]) and sample.rows[1][2] == len(PAIR["rejected"][0]["content"])
    assert sample.rows[0][3] == 2
