"""What the model or the training machine can't do is refused before anything is queued."""

from __future__ import annotations

import dataclasses
import json
import uuid

import pytest

from accounts.models import User
from finetune.core.errors import Invalid
from tests.factories import make_base_model, make_dataset, make_job
from training.devices import Device
from training.models import TrainingJob
from training.refusals import refuse_config, refuse_devices
from training.services.start_job import start_job
from training.spec_fields import checked_config

pytestmark = pytest.mark.django_db
CPU = Device("cpu", "cpu", "Some processor", "here", 2**34, 2**30, 0.1)


def test_one_device_is_never_counted(settings, monkeypatch) -> None:
    monkeypatch.setattr("training.refusals.worker_devices", lambda: pytest.fail("asked the driver"))
    refuse_devices(executor="local", config={"num_gpus": 1})
    refuse_devices(executor="local", config={})


@pytest.mark.parametrize(
    ("gpus", "config", "field", "words"),
    [
        (1, {"num_gpus": 2}, "num_gpus", "This machine has 1 GPU; 2"),
        (0, {"num_gpus": 2}, "num_gpus", "This machine has 0 GPUs; 2"),
        (4, {"num_gpus": 2, "distributed": "deepspeed"}, "distributed", "not installed"),
    ],
)
def test_what_the_machine_lacks_is_named(settings, monkeypatch, gpus, config, field, words) -> None:
    settings.TRAINING_GPUS = gpus
    monkeypatch.setattr("training.refusals.is_missing", lambda name: True)
    with pytest.raises(Invalid) as refused:
        refuse_devices(executor="local", config=config)
    assert words in refused.value.fields[field][0]


def test_processors_stand_in_for_gpus_only_when_told_to_and_only_for_ddp(settings, monkeypatch) -> None:
    monkeypatch.setattr("training.refusals.worker_devices", list)
    monkeypatch.setenv("AIFT_CPU_PROCESSES", "2")
    refuse_devices(executor="local", config={"num_gpus": 2})
    with pytest.raises(Invalid) as refused:
        refuse_devices(executor="local", config={"num_gpus": 2, "distributed": "fsdp"})
    assert "GPUs only" in refused.value.fields["distributed"][0]


def test_a_draft_for_more_gpus_is_not_started(alice: User, settings) -> None:
    settings.TRAINING_GPUS = 1
    job = make_job(alice, config={"num_gpus": 8}, train_split="train")
    with pytest.raises(Invalid):
        start_job(job=job)
    job.refresh_from_db()
    assert job.status == TrainingJob.Status.DRAFT and not job.events.exists()


# --- Options that the model or the machine can't follow -------------------------------------------------

QWEN = {"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 300,
        "intermediate_size": 128, "max_position_embeddings": 256}  # fmt: skip


def on(alice: User, *, template: str | None = "{{ messages }}", **values) -> dict:
    """Arguments of refuse_config for a model whose files say what it is."""
    model, dataset = make_base_model(alice, family=f"base-{uuid.uuid4()}"), make_dataset(alice)
    model.directory.mkdir(parents=True, exist_ok=True)
    (model.directory / "config.json").write_text(json.dumps(QWEN))
    (model.directory / "tokenizer_config.json").write_text(json.dumps({"chat_template": template} if template else {}))
    parts = {"method": "lora", "executor": "local", "model": model, "dataset": dataset, "eval_split": "", **values}
    return parts | {"config": checked_config(parts["method"], values.get("config", {}))}


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"lora_target_modules": ["q_prj"]}, "lora_target_modules", "Did you mean q_proj"),
        ({"lora_target_modules": ["lm_head"]}, "lora_target_modules", "output head"),
        ({"optim": "paged_adamw_8bit"}, "optim", "needs an NVIDIA GPU"),
        ({"optim": "stable_adamw"}, "optim", "torch-optimi"),
        ({"fp16": True}, "fp16", "Needs a GPU"),
        ({"kernels": "liger"}, "kernels", "needs an NVIDIA GPU"),
        ({"keep_best": True, "eval_fraction": 0}, "keep_best", "rows to evaluate on"),
        ({"lr_scheduler_type": "greedy", "eval_fraction": 0}, "lr_scheduler_type", "rows to evaluate on"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(alice: User, monkeypatch, config, field, words) -> None:
    monkeypatch.setattr("training.refusals.worker_devices", lambda: [CPU])
    with pytest.raises(Invalid) as refused:
        refuse_config(**on(alice, config=config))
    assert list(refused.value.fields) == [field] and words in refused.value.fields[field][0]


def test_what_can_be_followed_is_not(alice: User, monkeypatch) -> None:
    monkeypatch.setattr("training.refusals.worker_devices", lambda: [CPU])
    refuse_config(**on(alice, config={"lora_target_modules": ["q_proj", "up_proj"], "optim": "adafactor", "keep_best": True}))
    refuse_config(**on(alice, executor="modal", config={"optim": "adamw_8bit", "fp16": True}))
    refuse_config(**on(alice, eval_split="test", config={"keep_best": True, "eval_fraction": 0}))


def test_the_operator_may_say_that_the_training_machine_has_gpus(alice: User, settings, monkeypatch) -> None:
    settings.TRAINING_GPUS = 2
    monkeypatch.setattr("training.refusals.worker_devices", lambda: pytest.fail("asked the driver"))
    refuse_config(**on(alice, config={"optim": "adamw_8bit", "fp16": True}))


def test_an_old_card_has_no_bfloat16(alice: User, monkeypatch) -> None:
    monkeypatch.setattr("training.refusals.worker_devices", lambda: [dataclasses.replace(CPU, kind="cuda", name="Tesla T4")])
    with pytest.raises(Invalid) as refused:
        refuse_config(**on(alice, config={"bf16": True}))
    assert "Tesla T4 has no bfloat16" in refused.value.fields["bf16"][0]


def test_a_model_without_chat_template_needs_one_chosen(alice: User, client) -> None:
    parts = on(alice, template=None)
    with pytest.raises(Invalid) as refused:
        refuse_config(**parts)
    assert "Choose one: chatml" in refused.value.fields["chat_template"][0]
    refuse_config(**on(alice, template=None, config={"chat_template": "chatml"}))
    client.force_login(alice)
    values = {"name": "x", "model_id": parts["model"].pk, "dataset_id": parts["dataset"].pk, "method": "lora", "start": True}
    answer = client.post("/api/training/", json.dumps(values), content_type="application/json")
    assert answer.status_code == 400 and "chat_template" in answer.json()["fields"]
    assert not TrainingJob.objects.exists()
