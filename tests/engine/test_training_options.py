"""Every option of the training loop has its effect: on the optimizer, the gradients, the order of rows or the loss."""

from __future__ import annotations

import itertools
import math

import pytest

from tests.engine.conftest import built, events, metrics
from training.engine.attempt import Attempt
from training.engine.optimizers import optimizer_refusal
from training.engine.options import CUDA_OPTIMIZERS, PACKAGE_OPTIMIZERS, TORCH_OPTIMIZERS
from training.engine.order import LengthOrder
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


def first_batch(trainer) -> dict:
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def loss_of(trainer, inputs, *, seed=0) -> float:
    import torch

    torch.manual_seed(seed)
    trainer.model.train()
    if trainer.noise:
        trainer.noise.see(inputs)
    return float(trainer.compute_loss(trainer.model, dict(inputs)))


# --- Optimizer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_each_optimizer_is_the_one_it_says_and_moves_weights(make_run, name) -> None:
    trainer = built(make_run("sft", optim=name, weight_decay=0.1, adam_beta1=0.8, adam_beta2=0.9, adam_epsilon=1e-5))
    optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
    assert type(optimizer).__name__.lower() == name.split("_")[0]
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.1, 0.0}  # none on norms and biases
    if name.startswith("adamw"):
        assert optimizer.param_groups[0]["betas"] == (0.8, 0.9) and optimizer.param_groups[0]["eps"] == 1e-5
        assert bool(optimizer.param_groups[0]["fused"]) == name.endswith("fused")
    trainer.lr_scheduler.step()
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.compute_loss(trainer.model, first_batch(trainer)).backward()
    trainer.optimizer.step()
    assert any(not old.equal(new) for old, new in zip(before, trainer.model.parameters(), strict=True))


def test_every_optimizer_is_transformers_and_refused_where_it_cannot_run() -> None:
    from transformers.training_args import OptimizerNames

    assert {*TORCH_OPTIMIZERS, *CUDA_OPTIMIZERS, *PACKAGE_OPTIMIZERS} <= {item.value for item in OptimizerNames}
    for name in TORCH_OPTIMIZERS:
        assert optimizer_refusal(name, device="cpu", adapter=True) is None
    for name in CUDA_OPTIMIZERS:
        assert "NVIDIA GPU" in (optimizer_refusal(name, device="cpu", adapter=True) or "")
        assert optimizer_refusal(name, device="cuda", adapter=True) is None  # bitsandbytes is installed with the engine


def test_an_optimizer_of_another_package_is_taken_when_it_is_installed(tmp_path, monkeypatch) -> None:
    assert "torch-optimi, which is not installed" in (optimizer_refusal("stable_adamw", device="cpu", adapter=True) or "")
    for module in ("optimi", "galore_torch"):
        (tmp_path / f"{module}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert optimizer_refusal("stable_adamw", device="cpu", adapter=True) is None
    assert optimizer_refusal("galore_adamw", device="cpu", adapter=False) is None
    assert "adapter" in (optimizer_refusal("galore_adamw", device="cpu", adapter=True) or "")


def test_gradients_are_clipped_to_max_grad_norm(make_run) -> None:
    def moved(limit):
        run_dir = make_run("sft", optim="sgd", max_grad_norm=limit, max_steps=1, warmup_steps=0, learning_rate=1.0)
        assert run(run_dir.path) == 0
        from safetensors.torch import load_file

        base = load_file(run_dir.read_spec().model.path + "/model.safetensors")
        after = load_file(run_dir.output / "model.safetensors")
        return math.sqrt(sum(float((after[name] - base[name]).square().sum()) for name in base))

    assert moved(0.01) == pytest.approx(0.01, rel=1e-2) and moved(0.0) > 0.1


# --- Loss ---------------------------------------------------------------------------------------------


def test_label_smoothing_mixes_in_the_mean_over_the_vocabulary(make_run) -> None:
    """Against the definition, computed from the model's own logits."""
    import torch

    trainer = built(make_run("sft", label_smoothing_factor=0.3, max_steps=2))
    trainer.model.eval()
    inputs = first_batch(trainer)
    with torch.no_grad():
        found = float(trainer.compute_loss(trainer.model, dict(inputs)))
        logits = trainer.model(**{key: value for key, value in inputs.items() if key != "labels"}).logits[:, :-1]
    wanted = inputs["labels"][:, 1:]
    mask = wanted != -100
    log_probs = logits.log_softmax(-1)[mask]
    true = -log_probs.gather(-1, wanted[mask][:, None]).mean()
    assert found == pytest.approx(float(0.7 * true - 0.3 * log_probs.mean(-1).mean()), rel=1e-5)


def test_evaluations_are_without_smoothing(make_run) -> None:
    values = []
    for factor in (0.0, 0.4):
        run_dir = make_run("sft", label_smoothing_factor=factor, max_steps=1, learning_rate=1e-9)
        assert run(run_dir.path) == 0
        values.append((metrics(run_dir, "eval")[0]["values"], metrics(run_dir)[0]["values"]))
    (plain, train), (smoothed, smoothed_train) = values
    assert plain["eval_loss"] == pytest.approx(smoothed["eval_loss"], rel=1e-6)
    assert smoothed["eval_perplexity"] == pytest.approx(math.exp(plain["eval_loss"]), rel=1e-5)
    assert train["loss"] != pytest.approx(smoothed_train["loss"], rel=1e-4)


def test_neftune_noise_is_as_large_as_the_paper_says_for_each_row(make_run) -> None:
    import torch

    trainer = built(make_run("sft", neftune_noise_alpha=5.0, max_steps=2))
    embeddings, inputs = trainer.model.get_input_embeddings(), first_batch(trainer)
    assert "cu_seq_lens_q" in inputs, "the batch should be flattened here"
    trainer.model.train()
    trainer.noise.see(inputs)
    torch.manual_seed(0)
    noise = (embeddings(inputs["input_ids"]) - embeddings.weight[inputs["input_ids"]])[0]
    for start, end in zip(inputs["cu_seq_lens_q"].tolist(), inputs["cu_seq_lens_q"].tolist()[1:], strict=False):
        limit = 5.0 / math.sqrt((end - start) * noise.shape[-1])
        assert 0.9 * limit < float(noise[start:end].detach().abs().max()) <= limit
    trainer.model.eval()
    assert embeddings(inputs["input_ids"]).equal(embeddings.weight[inputs["input_ids"]])


def test_neftune_changes_the_training_and_its_absence_does_not(make_run) -> None:
    with_noise, without = (built(make_run("sft", neftune_noise_alpha=alpha, max_steps=2)) for alpha in (15.0, None))
    inputs = first_batch(without)
    assert loss_of(with_noise, inputs) != loss_of(without, inputs)
    assert without.noise is None


# --- Order and layout of the rows -----------------------------------------------------------------------


def test_rows_of_like_length_share_a_batch_in_an_order_of_its_own_each_epoch() -> None:
    lengths = [index * 7 % 101 for index in range(230)]
    order = LengthOrder(lengths, 4, seed=1)
    first = list(order)
    assert sorted(first) == list(range(230)) and first == list(LengthOrder(lengths, 4, seed=1))
    spreads = [max(part) - min(part) for part in _batches([lengths[row] for row in first])]
    assert sum(spreads) / len(spreads) < 8
    order.set_epoch(1)
    assert list(order) != first != list(LengthOrder(lengths, 4, seed=2))


def _batches(values):
    return [values[start : start + 4] for start in range(0, len(values), 4)]


def test_group_by_length_orders_the_trainers_batches(make_run) -> None:
    def spread(grouped):
        trainer = built(make_run("sft", group_by_length=grouped, num_train_epochs=1, max_steps=None))
        lengths = [batch["cu_seq_lens_q"].diff() for batch in trainer.get_train_dataloader()]
        return sum(float(part.max() - part.min()) for part in lengths)

    assert spread(True) < 0.6 * spread(False)


def test_packed_rows_have_the_gradients_of_separate_rows(make_run) -> None:
    """Attention inside each row, positions from zero: packing changes nothing about what a row teaches."""
    import torch

    trainer = built(make_run("sft", packing=True, per_device_train_batch_size=1, max_length=96, eval_fraction=0))
    inputs = first_batch(trainer)
    bounds = inputs["cu_seq_lens_q"].tolist()
    assert len(bounds) > 2
    trainer.model.eval()  # no dropout
    trainer.compute_loss(trainer.model, dict(inputs)).backward()
    packed = [parameter.grad.clone() for parameter in trainer.model.parameters()]
    logits = trainer.model(**{key: value for key, value in inputs.items() if key != "labels"}).logits[0]
    trainer.model.zero_grad()
    tokens = int((inputs["labels"][:, 1:] != -100).sum())
    for start, end in itertools.pairwise(bounds):
        ids, labels = inputs["input_ids"][:, start:end], inputs["labels"][:, start:end]
        alone = trainer.model(input_ids=ids, use_cache=False).logits[0]
        assert torch.allclose(logits[start:end], alone, atol=1e-4)
        loss = torch.nn.functional.cross_entropy(alone[:-1], labels[0, 1:], ignore_index=-100, reduction="sum") / tokens
        loss.backward()
    assert all(
        torch.allclose(one, parameter.grad, atol=1e-5) for one, parameter in zip(packed, trainer.model.parameters(), strict=True)
    )


# --- Precision, memory, cadence -----------------------------------------------------------------------------


def test_precision_and_checkpointing_reach_the_trainer(make_run) -> None:
    for wanted in (True, False):
        trainer = built(make_run("sft", bf16=wanted, gradient_checkpointing=wanted, torch_compile=False))
        assert trainer.args.bf16 is wanted and trainer.args.fp16 is False
        inputs = first_batch(trainer)
        trainer.model.train()
        assert bool(trainer.args.activation_checkpointing) is wanted
        with trainer.compute_loss_context_manager(), trainer.accelerator.autocast():
            loss = trainer.compute_loss(trainer.model, inputs)
        loss.backward()
        assert all(parameter.grad is not None for parameter in trainer.model.parameters())


def test_float16_is_refused_on_a_processor_before_anything_starts(make_run) -> None:
    run_dir = make_run("sft", fp16=True)
    assert run(run_dir.path) == 2
    assert events(run_dir, "failed")[0]["message"].startswith("fp16: needs a GPU")
    assert not events(run_dir, "started")


def test_the_cadence_is_the_configs(make_run) -> None:
    run_dir = make_run("lora", max_steps=7, logging_steps=2, eval_steps=3, save_steps=4, save_total_limit=3)
    assert run(run_dir.path) == 0
    assert [event["step"] for event in metrics(run_dir)] == [2, 4, 6]
    assert [event["step"] for event in metrics(run_dir, "eval")] == [0, 3, 6, 7]
    assert [event["step"] for event in events(run_dir, "checkpoint")] == [4, 7]


# --- Samples -------------------------------------------------------------------------------------------


PROMPTS = ["What does tea cost?", "How much is the soap, please?"]


def test_samples_are_said_at_every_evaluation_and_become_right(make_run) -> None:
    run_dir = make_run("sft", max_steps=60, eval_steps=30, learning_rate=1e-2, sample_prompts=PROMPTS, sample_max_new_tokens=24)
    assert run(run_dir.path) == 0
    said = events(run_dir, "sample")
    assert [(event["step"], event["prompt"]) for event in said] == [(step, prompt) for step in (0, 30, 60) for prompt in PROMPTS]
    assert said[-2]["text"].startswith("The ") and said[-2]["text"].endswith(" coins.")
    assert "coins" not in said[0]["text"]
    assert all("<|" not in event["text"] for event in said)


def test_samples_change_nothing_about_the_training_and_are_bounded(make_run) -> None:
    digests = []
    for prompts in ([], PROMPTS):
        run_dir = make_run("lora", max_steps=4, eval_steps=2, lora_dropout=0.1, sample_prompts=prompts, sample_max_new_tokens=3)
        assert run(run_dir.path) == 0
        digests.append(events(run_dir, "finished")[0]["sha256"])
    assert digests[0] == digests[1]
    assert all(len(event["text"]) <= 3 * 12 for event in events(run_dir, "sample"))


def test_without_an_evaluation_samples_are_said_at_the_end(make_run) -> None:
    run_dir = make_run("sft", eval_fraction=0, max_steps=2, sample_prompts=PROMPTS[:1])
    assert run(run_dir.path) == 0
    assert [event["step"] for event in events(run_dir, "sample")] == [2]


def test_a_stop_in_the_middle_of_a_sample_is_honoured(make_run, monkeypatch) -> None:
    from training.engine.samples import Samples

    trainer = built(make_run("sft", max_steps=2, sample_prompts=PROMPTS))
    attempt: Attempt = trainer.attempt
    calls = iter([False] * 3)
    monkeypatch.setattr(attempt.stop, "requested", lambda: next(calls, True))
    Samples(attempt, trainer.processing_class).say(trainer.model, trainer.accelerator, 0)
    assert not events(attempt.dir, "sample") and next(calls, "spent") == "spent"
