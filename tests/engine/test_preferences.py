"""Preference methods train for real: the margin between good and bad answers grows, and evaluations are weighted."""

from __future__ import annotations

import pytest

from tests.engine.conftest import events, metrics
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
OPTIONS = {"max_steps": 24, "learning_rate": 1e-2, "eval_steps": 12}


@pytest.mark.parametrize("adapter", ["lora", "qlora", "none"])
@pytest.mark.parametrize("method", ["dpo", "orpo", "kto"])
def test_the_margin_grows_and_what_should_learn_does(make_run, pairs_file, method, adapter) -> None:
    run_dir = make_run(method, rows=pairs_file, kind="preference", adapter=adapter, **OPTIONS)
    assert run(run_dir.path) == 0, events(run_dir)[-1]
    points = [event["values"] for event in metrics(run_dir)]
    evaluated = [event["values"] for event in metrics(run_dir, "eval")]
    assert evaluated[-1]["eval_loss"] < evaluated[0]["eval_loss"]
    assert evaluated[-1]["eval_rewards/margins"] > evaluated[0]["eval_rewards/margins"] + 0.01
    assert (
        points[0].keys() >= {"rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected", "num_tokens"}
        or method == "kto"
    )
    assert (run_dir.output / "adapter_model.safetensors").exists() == (adapter != "none")
    assert (run_dir.output / "model.safetensors").exists() == (adapter == "none")


def test_evaluation_counts_pairs_and_answers_not_batches(make_run, pairs_file, rated_file) -> None:
    kinds = {"dpo": (pairs_file, "preference"), "orpo": (pairs_file, "preference"), "kto": (rated_file, "unpaired")}
    for method, (rows, kind) in kinds.items():
        values = []
        for size in (2, 4):
            options = {
                "max_steps": 4,
                "eval_steps": 4,
                "learning_rate": 1e-2,
                "eval_fraction": 0.3,
                "gradient_accumulation_steps": 4 // size,
            }
            loss = {"loss_type": "apo_zero_unpaired"} if method == "kto" else {}
            run_dir = make_run(method, rows=rows, kind=kind, per_device_train_batch_size=size, num_train_epochs=1, **options | loss)
            assert run(run_dir.path) == 0, events(run_dir)[-1]
            values.append(metrics(run_dir, "eval")[0]["values"])
        names = [name for name in values[0] if name.startswith(("eval_loss", "eval_logps", "eval_logits", "eval_entropy"))]
        assert len(names) >= 5 and all(values[0][name] == pytest.approx(values[1][name], rel=1e-4) for name in names)


def test_flat_log_probabilities_are_those_of_the_padded_batch(tiny_model) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from training.engine import attention, unpadded

    padded, flat = (AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval() for _ in range(2))
    outputs = ("log_probs", "entropy", "mean_logits", "is_top1")
    add_fused_lm_head(padded, outputs=outputs)
    add_fused_lm_head(flat, outputs=outputs)
    attention.register()
    flat.set_attn_implementation(attention.NAME)
    unpadded.install(flat, flat=True)
    ids = torch.randint(5, 300, (4, 30), generator=torch.Generator().manual_seed(1))
    ids[2, :14] = ids[0, :14]  # one pair shares its beginning, the other doesn't
    lengths = torch.tensor([30, 19, 22, 25])
    mask = (torch.arange(30) < lengths[:, None]).long()
    labels = ids.masked_fill((mask == 0) | (torch.arange(30) < 12), -100)
    assert unpadded.flatten(ids, mask).inputs["input_ids"].shape[1] == int(lengths.sum()) - 14
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels, "use_cache": False, "fused_lm_head": True}
    one, other = padded(**inputs), flat(**inputs)
    for name in outputs[:3]:
        assert torch.allclose(getattr(one, name), getattr(other, name), atol=1e-5), name
    assert one.is_top1.equal(other.is_top1)
    for found in (one, other):
        (found.log_probs.sum(1) * torch.tensor([1.0, -2.0, 3.0, 0.5])).sum().backward()
    for (name, first), second in zip(padded.named_parameters(), flat.parameters(), strict=True):
        assert torch.allclose(first.grad, second.grad, atol=1e-4), name
