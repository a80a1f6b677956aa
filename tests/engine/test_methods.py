"""Each method trains for real: the right weights move, the loss falls, everything is said in order."""

from __future__ import annotations

import json

import pytest

from tests.engine.conftest import chat_rows, conversation, events, losses, metrics, write_rows
from training.engine.output import weights_digest
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


def weights(path):
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


def test_full_training_moves_every_weight(make_run, tiny_model) -> None:
    run_dir = make_run("sft", max_steps=12, learning_rate=1e-2)
    assert run(run_dir.path) == 0
    before, after = weights(tiny_model), weights(run_dir.output)
    assert before.keys() == after.keys()
    assert all(not after[name].equal(before[name]) for name in before)
    assert min(losses(run_dir).values()) < 0.7 * losses(run_dir)[1]


def test_lora_leaves_the_base_alone_and_learns(make_run, tiny_model) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    before = weights(tiny_model)
    run_dir = make_run(
        "lora", max_steps=40, lora_r=16, lora_alpha=64, lora_target_modules=["q_proj", "down_proj"], learning_rate=3e-2
    )
    assert run(run_dir.path) == 0
    after = weights(tiny_model)
    assert all(after[name].equal(before[name]) for name in before)
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), run_dir.output)
    adapted = {name.split(".")[-4] for name, _ in tuned.named_parameters() if "lora_B" in name}
    assert adapted == {"q_proj", "down_proj"}
    assert all(bool(value.abs().sum() > 0) for name, value in tuned.named_parameters() if "lora_B" in name)
    # A random base of this size has nearly flat logits, so the words it prefers tell more than the loss.
    evaluated = [event["values"] for event in metrics(run_dir, "eval")]
    assert evaluated[-1]["eval_loss"] < evaluated[0]["eval_loss"]
    assert evaluated[-1]["eval_mean_token_accuracy"] > evaluated[0]["eval_mean_token_accuracy"] + 0.4


def test_everything_is_said_in_order(make_run) -> None:
    run_dir = make_run("lora", max_steps=6, save_steps=3, save_total_limit=1, eval_steps=3)
    assert run(run_dir.path) == 0
    said = events(run_dir)
    assert [said[0]["kind"], said[0]["phase"], said[-1]["kind"], said[-1]["outcome"]] == [
        "phase",
        "preparing",
        "finished",
        "succeeded",
    ]
    assert [event["step"] for event in metrics(run_dir)] == [1, 2, 3, 4, 5, 6]
    assert [event["step"] for event in metrics(run_dir, "eval")] == [0, 3, 6]
    assert [event["step"] for event in events(run_dir, "checkpoint")] == [3, 6]
    assert [path.name for path in run_dir.checkpoints.iterdir()] == ["checkpoint-6"]
    (started,) = events(run_dir, "started")
    assert (started["total_steps"], started["resumed_from_step"], started["train_rows"], started["eval_rows"]) == (6, 0, 43, 5)
    assert 0 < started["trainable_parameters"] < started["parameters"]
    for event in metrics(run_dir):
        assert event["values"].keys() >= {
            "loss", "learning_rate", "grad_norm", "mean_token_accuracy", "entropy", "num_tokens", "tokens_per_second", "samples_per_second",
        }  # fmt: skip
        assert all(isinstance(value, (int, float)) for value in event["values"].values())
    clock = [event["elapsed_seconds"] for event in metrics(run_dir)]
    tokens = [event["values"]["num_tokens"] for event in metrics(run_dir)]
    assert clock == sorted(clock) and tokens == sorted(tokens) and tokens[0] > 0
    for event in metrics(run_dir, "eval"):
        assert event["values"].keys() >= {"eval_loss", "eval_perplexity", "eval_mean_token_accuracy"}
    assert events(run_dir, "memory")[-1]["peak_bytes"] > 50_000_000


def test_the_clock_counts_training_only(make_run) -> None:
    run_dir = make_run("sft", max_steps=4, eval_steps=1, save_steps=1)
    assert run(run_dir.path) == 0
    points, paused = metrics(run_dir), 0.0
    for entered, left in zip(events(run_dir, "phase"), events(run_dir, "phase")[1:], strict=False):
        if entered["phase"] in ("evaluating", "saving") and points[0]["time"] < entered["time"] < points[-1]["time"]:
            paused += left["time"] - entered["time"]
    wall = points[-1]["time"] - points[0]["time"]
    assert paused > 0 and abs((points[-1]["elapsed_seconds"] - points[0]["elapsed_seconds"]) - (wall - paused)) < 0.25 * wall


def test_the_manifest_tells_how_to_repeat_it(make_run) -> None:
    run_dir = make_run("lora", max_steps=2, seed=7)
    assert run(run_dir.path) == 0
    manifest = json.loads((run_dir.output / "manifest.json").read_text())
    assert manifest["weights_sha256"] == weights_digest(run_dir.output) == events(run_dir, "finished")[0]["sha256"]
    assert (manifest["seed"], manifest["dataset"]["content_hash"], manifest["method"], manifest["step"]) == (7, "abc", "lora", 2)
    assert manifest["packages"]["torch"] and manifest["hardware"]["cpus"] and manifest["metrics"]["eval_loss"] > 0
    assert "adapter_model.safetensors" in manifest["files"]


def test_the_output_knows_where_an_answer_ends(make_run, tokenizer) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    run_dir = make_run("sft", max_steps=1)
    assert run(run_dir.path) == 0
    assert GenerationConfig.from_pretrained(run_dir.output).eos_token_id == [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    assert AutoTokenizer.from_pretrained(run_dir.output).chat_template == tokenizer.chat_template


def test_the_same_seed_gives_the_same_weights_and_another_does_not(make_run) -> None:
    digests = []
    for seed in (1, 1, 2):
        run_dir = make_run("lora", max_steps=3, lora_dropout=0.1, seed=seed)
        assert run(run_dir.path) == 0
        digests.append(events(run_dir, "finished")[0]["sha256"])
    assert digests[0] == digests[1] != digests[2]


def test_evaluation_counts_tokens_not_batches(make_run) -> None:
    values = []
    for size in (1, 4):
        options = {"max_steps": 1, "learning_rate": 1e-9, "eval_fraction": 0.3, "bf16": False}
        run_dir = make_run("sft", per_device_train_batch_size=size, **options)
        assert run(run_dir.path) == 0
        values.append(metrics(run_dir, "eval")[0]["values"]["eval_loss"])
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_packed_rows_do_not_see_each_other(make_run) -> None:
    """With a rate of nearly zero the mean loss over one epoch is the same packed or not, if boundaries are right."""
    options = {"learning_rate": 1e-9, "num_train_epochs": 1.0, "max_steps": None, "logging_steps": 1, "eval_fraction": 0.0}
    plain, packed = make_run("lora", **options), make_run("lora", packing=True, **options | {"per_device_train_batch_size": 1})
    assert run(plain.path) == 0 and run(packed.path) == 0
    assert len(metrics(packed)) < 48 / 2

    def accuracy_and_tokens(run_dir):
        points = [event["values"] for event in metrics(run_dir)]
        return points[-1]["num_tokens"], sum(point["loss"] for point in points) / len(points)

    (tokens, loss), (packed_tokens, packed_loss) = accuracy_and_tokens(plain), accuracy_and_tokens(packed)
    assert packed_tokens == tokens and packed_loss == pytest.approx(loss, rel=5e-3)


def test_plain_text_is_learned(make_run, tmp_path) -> None:
    rows = write_rows(tmp_path / "t.parquet", [{"line": i + 1, "text": conversation(i)[1]["content"]} for i in range(24)])
    run_dir = make_run("sft", rows=rows, kind="text", max_steps=15, learning_rate=1e-2)
    assert run(run_dir.path) == 0
    assert losses(run_dir)[15] < 0.7 * losses(run_dir)[1]


def test_too_few_rows_for_evaluation_is_said(make_run, tmp_path) -> None:
    run_dir = make_run("sft", rows=write_rows(tmp_path / "one.parquet", chat_rows(1)), max_steps=2)
    assert run(run_dir.path) == 0
    assert not metrics(run_dir, "eval")
    assert any("no evaluation" in event["text"] for event in events(run_dir, "log"))


def test_a_length_beyond_the_model_is_lowered_and_said(make_run) -> None:
    run_dir = make_run("sft", max_length=4096, max_steps=1)
    assert run(run_dir.path) == 0
    assert any("cut at 128 tokens" in event["text"] for event in events(run_dir, "log"))


def test_qlora_learns_over_a_base_in_four_bits_and_fits_the_whole_one(make_run, tiny_model) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    options = {"lora_target_modules": ["q_proj", "down_proj"], "eval_steps": 20, "save_steps": 20}
    run_dir = make_run("qlora", max_steps=40, lora_r=16, lora_alpha=64, learning_rate=3e-2, **options)
    assert run(run_dir.path) == 0, events(run_dir)[-1]
    evaluated = [event["values"] for event in metrics(run_dir, "eval")]
    assert evaluated[-1]["eval_mean_token_accuracy"] > evaluated[0]["eval_mean_token_accuracy"] + 0.4
    assert any("4-bit (NF4)" in event["text"] for event in events(run_dir, "log"))
    saved = load_file(run_dir.output / "adapter_model.safetensors")
    assert saved and all("lora_" in name and value.dtype == torch.float32 for name, value in saved.items())
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), run_dir.output)
    assert any(bool(value.abs().sum() > 0) for name, value in tuned.named_parameters() if "lora_B" in name)
