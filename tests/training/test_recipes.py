"""Templates as files: ours out and in again, and what other programs' training files say."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core.errors import Invalid
from tests.factories import make_template
from training.builtin_templates import built_in_templates
from training.models import JobTemplate
from training.recipes import read_recipe, write_recipe
from training.spec_fields import checked_config

LLAMAFACTORY = b"""
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: q_proj, v_proj
pref_beta: 0.2
pref_loss: hinge
dataset: dpo_en_demo
template: qwen3_nothink
cutoff_len: 4096
output_dir: saves/qwen
overwrite_output_dir: false
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 5e-6
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
resume_from_checkpoint: null
disable_gradient_checkpointing: true
"""
AXOLOTL = b"""
base_model: meta-llama/Llama-3.2-1B
load_in_8bit: true
load_in_4bit: false
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
sequence_len: 4096
sample_packing: true
adapter: lora
lora_r: 32
lora_alpha: 16
lora_target_linear: true
wandb_project:
micro_batch_size: 2
num_epochs: 4
optimizer: adamw_bnb_8bit
learning_rate: 0.0002
train_on_inputs: true
bf16: auto
gradient_checkpointing: offload
val_set_size: 0.05
"""


def test_ours_comes_back_as_it_went() -> None:
    for item in built_in_templates():
        values = {"name": item.name, "description": item.description, "method": item.method, "config": item.config}
        back = read_recipe(write_recipe(**values).encode())
        assert (back.name, back.description, back.method, back.config) == tuple(values.values())


def test_a_training_of_llamafactory_means_the_same_here() -> None:
    found = read_recipe(LLAMAFACTORY)
    config = checked_config(found.method, found.config)
    said = {
        "adapter": "lora", "lora_r": 8, "lora_alpha": 16, "lora_target_modules": ["q_proj", "v_proj"], "beta": 0.2, "loss_type": "hinge",
        "max_length": 4096, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 8, "learning_rate": 5e-6,
        "num_train_epochs": 3.0, "lr_scheduler_type": "cosine", "warmup_ratio": 0.1, "bf16": True, "gradient_checkpointing": False,
        "eval_fraction": 0.0,
    }  # fmt: skip
    assert found.method == "dpo" and found.program == "LLaMA-Factory"
    assert {name: config[name] for name in said} == said
    assert found.left_out == ["dataset", "model_name_or_path", "output_dir", "template", "trust_remote_code"]


def test_what_llamafactory_leaves_out_has_its_default() -> None:
    config = read_recipe(b"stage: sft\nfinetuning_type: lora").config
    assert (config["learning_rate"], config["max_length"], config["lr_scheduler_type"]) == (5e-5, 2048, "linear")
    assert (config["lora_r"], config["lora_alpha"], config["per_device_train_batch_size"]) == (8, 16, 8)


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("stage: pt\nfinetuning_type: full", "pretrain"),
        ("stage: sft\nfinetuning_type: full", "sft"),
        ("stage: sft\nquantization_bit: 4", "qlora"),
        ("stage: dpo\npref_loss: orpo", "orpo"),
        ("stage: kto", "kto"),
        ("base_model: a/b\nnum_epochs: 1", "sft"),
        ("base_model: a/b\nadapter: qlora", "qlora"),
        ("base_model: a/b\nadapter: lora\nrl: ipo", "dpo"),
        ("base_model: a/b\nadapter: lora\nrl: kto", "kto"),
        ("base_model: a/b\nsequence_len: 64\ndatasets: [{path: c, type: completion}]", "pretrain"),
    ],
)
def test_every_way_to_train_is_found(text: str, method: str) -> None:
    found = read_recipe(text.encode())
    assert found.method == method and not {"quantization_bit", "rl", "adapter"} & set(found.left_out)
    checked_config(found.method, found.config)


def test_a_training_of_axolotl_means_the_same_here() -> None:
    found = read_recipe(AXOLOTL)
    config = checked_config(found.method, found.config)
    said = {
        "max_length": 4096, "packing": True, "lora_r": 32, "lora_alpha": 16, "lora_target_modules": ["all-linear"], "learning_rate": 2e-4,
        "per_device_train_batch_size": 2, "num_train_epochs": 4.0, "optim": "adamw_bnb_8bit", "assistant_only_loss": False,
        "eval_fraction": 0.05, "gradient_accumulation_steps": 1, "bf16": None,
    }  # fmt: skip
    assert found.method == "lora" and {name: config[name] for name in said} == said
    assert found.left_out == ["base_model", "datasets", "gradient_checkpointing", "load_in_8bit"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"stage: rm", "the stage “rm” isn't here"),
        (b"stage: sft\nfinetuning_type: freeze", "the finetuning_type “freeze” isn't here"),
        (b"stage: dpo\npref_loss: simpo", "the pref_loss “simpo” isn't here"),
        (b"base_model: a/b\nadapter: oft", "the adapter “oft” isn't here"),
        (b"base_model: a/b\nadapter: lora\nrl: grpo", "rl: grpo isn't here"),
        (b"stage: [sft]", "the stage “['sft']” isn't here"),
        (b"base_model: a/b\nadapter: lora\nrl: [dpo]", "rl: ['dpo'] isn't here"),
        (b"base_model: a/b\nadapter: [lora]\ndatasets: [{type: [x]}]", "the adapter “['lora']” isn't here"),
        (b'name: "a\\0b"\nmethod: lora\nconfig: {}', "holds a NUL"),
        (b'{"name": "a\\ud800", "method": "lora", "config": {}}', "half a character"),
        (b"a: 1\nb: [", "neither YAML nor JSON. Look at line"),
        (b"\xff\xfe\x00", "neither YAML nor JSON"),
        (b"a: &a [x, x]\nb: [*a, *a]", "neither YAML nor JSON. Look at line 2"),
        (b"[" * 20_000, "neither YAML nor JSON"),
        (b"- stage", "This is no template"),
        (b"", "This is no template"),
        (b"hello: world", "This is no template"),
        (b"x" * (1 << 20) + b"x", "at most 1 MB"),
        (b"method: lora\nconfig: [1]", "config: must hold options"),
        (b"method: [lora]\nconfig: {}", "method: must be a text"),
    ],
)
def test_what_is_no_template_is_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_recipe(content)
    assert words in str(refused.value) and list(refused.value.fields) == ["file"]


def test_a_file_becomes_a_template_and_a_template_a_file(api: APIClient, alice: User) -> None:
    client = Client()
    client.force_login(alice)
    assert client.post("/training/templates/load", {"file": SimpleUploadedFile("my dpo.yaml", LLAMAFACTORY)}).status_code == 302
    made = JobTemplate.objects.get()
    assert made.name == "my dpo" and "Not taken: dataset, model_name_or_path" in made.description

    file = client.get(f"/training/templates/{made.pk}/file")
    assert file["Content-Disposition"] == 'attachment; filename="my dpo.yaml"'
    again = api.post("/api/training/templates/load", {"file": SimpleUploadedFile("x.yaml", file.content)}, format="multipart")
    assert again.status_code == 201
    assert again.json() | {"id": "", "name": ""} == api.get(f"/api/training/templates/{made.pk}").json() | {"id": "", "name": ""}
    assert again.json()["name"] == "my dpo 2"

    answered = json.dumps(api.get("/api/training/templates/lora-quick").json()).encode()
    from_api = api.post("/api/training/templates/load", {"file": SimpleUploadedFile("a.json", answered)}, format="multipart").json()
    assert from_api["method"] == "lora" and not from_api["built_in"]


def test_a_wrong_file_leaves_nothing_and_is_told(api: APIClient, alice: User) -> None:
    refused = api.post("/api/training/templates/load", {"file": SimpleUploadedFile("a.yaml", b"stage: ppo")}, format="multipart")
    assert refused.status_code == 400 and list(refused.json()["fields"]) == ["file"]
    wrong = write_recipe(name="bad", description="", method="lora", config={"lora_r": -1})
    refused = api.post("/api/training/templates/load", {"file": SimpleUploadedFile("a.yaml", wrong.encode())}, format="multipart")
    assert refused.status_code == 400 and list(refused.json()["fields"]) == ["lora_r"]
    client = Client()
    client.force_login(alice)
    page = client.post("/training/templates/load", {"file": SimpleUploadedFile("a.yaml", b"stage: ppo")}, follow=True)
    assert "a.yaml: LLaMA-Factory: the stage “ppo” isn&#x27;t here" in page.content.decode()
    assert "Choose a file first." in client.post("/training/templates/load", follow=True).content.decode()
    assert not JobTemplate.objects.exists()


def test_a_stranger_downloads_nothing(charlie_page: Client, alice: User) -> None:
    assert charlie_page.get(f"/training/templates/{make_template(alice).pk}/file").status_code == 404
