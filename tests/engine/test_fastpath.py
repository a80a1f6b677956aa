"""Without padding, the same rows give the same losses and gradients; a row never touches another; what can't be switched isn't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.conftest import events, losses
from training.engine import attention, fastpath, labelloss
from training.engine.attempt import Attempt
from training.engine.events import EventLog
from training.engine.model import Device
from training.engine.run import run
from training.engine.stopping import StopRequest

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
CPU = Device("cpu", "CPU", False)
LENGTHS = (37, 1, 20, 20, 5)  # a lone token and two equal rows among them


@pytest.fixture
def model(calm_model: Path) -> Any:
    """The tiny GQA model in training mode with an adapter, without dropout anywhere."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, set_seed

    set_seed(0)
    base = AutoModelForCausalLM.from_pretrained(calm_model, dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False))
    return adapted.train()


@pytest.fixture(scope="module")
def calm_model(tiny_model: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoModelForCausalLM

    path = tmp_path_factory.mktemp("calm")
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    base.config.attention_dropout = 0.0
    base.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def attempt(make_run, calm_model) -> Attempt:
    run_dir = make_run("lora", model=calm_model)
    return Attempt(run_dir, run_dir.read_spec(), EventLog(run_dir.events_file), StopRequest(run_dir))


def rows(seed: int = 0) -> list[dict[str, list[int]]]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for length in LENGTHS:
        ids = torch.randint(300, (length,), generator=generator).tolist()
        made.append({"input_ids": ids, "labels": [-100] * (length // 3) + ids[length // 3 :]})
    return made


def batch(examples: list[dict[str, list[int]]], *, padding_free: bool) -> dict[str, Any]:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    return DataCollatorForLanguageModeling(pad_token_id=0, padding_free=padding_free)(examples)


def learn(model: Any, examples: list[dict[str, list[int]]], *, padding_free: bool) -> tuple[float, dict[str, torch.Tensor]]:
    """TRL's loss of a batch and the gradients it gives."""
    model.zero_grad(set_to_none=True)
    output = model(**batch(examples, padding_free=padding_free), use_cache=False, fused_lm_head=True)
    loss = -output.log_probs.sum() / output.label_mask.sum()
    loss.backward()
    return loss.item(), {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}


def with_head(model: Any) -> Any:
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy", "is_top1"))
    return model


def test_losses_and_gradients_are_those_of_the_padded_batch(model, attempt) -> None:
    with_head(model)
    loss, gradients = learn(model, rows(), padding_free=False)
    assert fastpath.choose(attempt, CPU, model)
    fastpath.finish(attempt, CPU, model)
    flat_loss, flat_gradients = learn(model, rows(), padding_free=True)
    # float32 carries 7 digits and sums are taken in another order: 1e-5 leaves room for a hundred roundings.
    assert flat_loss == pytest.approx(loss, rel=1e-5)
    assert gradients.keys() == flat_gradients.keys() and gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(flat_gradients[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_a_row_of_the_batch_does_not_change_anothers_answers(model, attempt) -> None:
    assert fastpath.choose(attempt, CPU, model)
    here, there = rows(0), rows(1)
    there[2] = here[2]
    start = sum(LENGTHS[:2])
    with torch.no_grad():
        one, two = (model(**batch(part, padding_free=True), use_cache=False).logits[0] for part in (here, there))
    assert not torch.equal(one[: start - 1], two[: start - 1])
    assert torch.equal(one[start : start + LENGTHS[2]], two[start : start + LENGTHS[2]])


def test_attention_weights_are_dropped_when_the_model_wants_it() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, 30, 8), torch.randn(1, 2, 30, 8), torch.randn(1, 2, 30, 8)
    bounds = torch.tensor([0, 12, 30], dtype=torch.int32)
    still = [attention.attend(None, query, key, value, None, cu_seq_lens_q=bounds)[0] for _ in range(2)]
    dropped = attention.attend(None, query, key, value, None, dropout=0.5, cu_seq_lens_q=bounds)[0]
    assert still[0].shape == (1, 30, 4, 8)
    assert torch.equal(*still)
    assert not torch.equal(still[0], dropped)


def test_padded_rows_and_generation_still_work_with_our_attention(model, attempt) -> None:
    ids = torch.tensor([rows()[0]["input_ids"][:9]])
    mask = torch.tensor([[0] * 3 + [1] * 6])
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    model.eval()
    expected = model.generate(input_ids=ids, attention_mask=mask, **settings)
    assert fastpath.choose(attempt, CPU, model)
    assert torch.equal(model.generate(input_ids=ids, attention_mask=mask, **settings), expected)


@pytest.mark.parametrize("per_slice", [labelloss.SLICE, 5 * 400])  # all at once, and five rows at a time
@pytest.mark.parametrize("with_bias", [False, True])
def test_the_label_loss_and_its_gradients_are_torchs(monkeypatch, per_slice, with_bias) -> None:
    monkeypatch.setattr(labelloss, "SLICE", per_slice)
    torch.manual_seed(0)
    hidden, weight = torch.randn(23, 16, requires_grad=True), torch.randn(400, 16, requires_grad=True)
    bias = torch.randn(400, requires_grad=True) if with_bias else None
    targets, slope = torch.randint(400, (23,)), torch.randn(23)
    found = labelloss.LabelLogProbs.apply(hidden, weight, bias, targets)
    spread = torch.log_softmax(torch.nn.functional.linear(hidden, weight, bias), -1)
    expected = spread.gather(-1, targets[:, None])[:, 0]
    torch.testing.assert_close(found[0], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[1], -(spread.exp() * spread).sum(-1), rtol=1e-4, atol=1e-5)
    assert torch.equal(found[2], spread.argmax(-1) == targets)
    inputs = [part for part in (hidden, weight, bias) if part is not None]
    ours, theirs = (torch.autograd.grad((part * slope).sum(), inputs) for part in (found[0], expected))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_a_batch_without_any_label_costs_nothing_and_breaks_nothing(model, attempt) -> None:
    with_head(model)
    fastpath.finish(attempt, CPU, model)
    inputs = batch([{"input_ids": [1, 2, 3], "labels": [-100] * 3}], padding_free=False)
    output = model(**inputs, use_cache=False, fused_lm_head=True)
    output.log_probs.sum().backward()
    assert float(output.loss) == 0.0
    assert not output.label_mask.any()


def test_a_model_whose_rows_would_mix_keeps_its_padding(model, attempt) -> None:
    base = model.get_base_model()
    before = base.config._attn_implementation
    # A layer that looks one token back, as convolutions do: flattened, a row's first token would see the row before it.
    base.model.layers[0].register_forward_hook(lambda layer, inputs, output: output + output.roll(1, dims=1))
    assert not fastpath.choose(attempt, CPU, model)
    assert base.config._attn_implementation == before
    assert "a row sees the one before it" in events(attempt.dir, "log")[0]["text"]
    assert "padded batches" in events(attempt.dir, "log")[-1]["text"]


@pytest.mark.parametrize(
    ("device", "options", "change", "words"),
    [
        (Device("mps", "Apple GPU", False), {}, {}, "unequal lengths"),
        (Device("cuda", "GPU", False), {"per_device_train_batch_size": 1}, {}, "one row a batch"),
        (CPU, {}, {"layer_types": ["full_attention", "linear_attention"]}, "not plain attention"),
        (CPU, {}, {"sliding_window": 32}, "windows are shorter"),
        (CPU, {}, {"attn_logit_softcapping": 50.0}, "capped"),
    ],
)
def test_what_our_attention_cannot_do_keeps_its_padding(make_run, model, calm_model, device, options, change, words) -> None:
    run_dir = make_run("lora", model=calm_model, **options)
    attempt = Attempt(run_dir, run_dir.read_spec(), EventLog(run_dir.events_file), StopRequest(run_dir))
    for name, value in change.items():
        setattr(model.config, name, value)
    assert not fastpath.choose(attempt, device, model)
    assert words in events(run_dir, "log")[-1]["text"]


def bare_losses(run_dir: Any, model_path: Path, tokenizer: Any, rows: int) -> list[float]:
    """TRL's own trainer, padded, on the tokens that the run prepared."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    settings = SFTConfig(
        output_dir=str(run_dir.path / "bare"), max_steps=6, learning_rate=5e-3, per_device_train_batch_size=rows, seed=42,
        lr_scheduler_type="cosine", logging_steps=1, bf16=False, use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no",
        max_length=None, gradient_checkpointing=False, dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32), settings, processing_class=tokenizer,
        train_dataset=Dataset.from_file(str(run_dir.data / "train.arrow")),
    )  # fmt: skip
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("rows", [1, 4])
def test_a_run_has_the_losses_of_trls_padded_trainer_on_the_same_batches(make_run, calm_model, tokenizer, rows) -> None:
    # bf16 left open would follow the processor; two ways of computing can only be compared closely in float32.
    options = {"max_steps": 6, "eval_fraction": 0.0, "warmup_ratio": 0.0, "bf16": False, "per_device_train_batch_size": rows}
    run_dir = make_run("sft", model=calm_model, **options)
    assert run(run_dir.path) == 0, run_dir.events_file.read_text()
    assert any("no padding" in event["text"] for event in events(run_dir, "log"))
    # Six steps of Adam spread rounding a little; the bar for equal results is 0.1 %.
    assert list(losses(run_dir).values()) == pytest.approx(bare_losses(run_dir, calm_model, tokenizer, rows), rel=1e-4)


def test_our_attention_is_not_named_in_what_is_saved(make_run, calm_model) -> None:
    run_dir = make_run("sft", model=calm_model, max_steps=1)
    assert run(run_dir.path) == 0
    assert attention.NAME not in (run_dir.output / "config.json").read_text()
