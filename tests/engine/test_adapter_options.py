"""Every way an adapter can begin: it trains, and what is saved is an adapter for the untouched base with the same answers."""

from __future__ import annotations

import pytest

from tests.engine.conftest import built, ended, events, newest_step, write_rows
from tests.engine.test_resume import kill_when, options_of, same, uninterrupted
from training.engine.launch import start
from training.engine.options import LORA_INITS, MUTATING_INITS
from training.engine.run import run

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
PROBE = [[5, 9, 33, 120, 77, 64, 201, 12]]


def logits(model):
    import torch

    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor(PROBE)).logits


@pytest.mark.parametrize("name", LORA_INITS)
def test_it_begins_as_the_base_and_in_its_own_way(make_run, tiny_model, name) -> None:
    from transformers import AutoModelForCausalLM

    trainer = built(make_run("lora", init_lora_weights=name, lora_r=8), "lora")
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert float((logits(trainer.model) - logits(base)).abs().max()) < 1e-4
    first = trainer.model.get_base_model().model.layers[0].self_attn.q_proj
    adapted = bool(first.lora_B["default"].weight.abs().sum() > 0)
    assert adapted == (name in (*MUTATING_INITS, "orthogonal"))
    moved = float((first.base_layer.weight - base.model.layers[0].self_attn.q_proj.weight).abs().max())
    assert (moved > 1e-3) == (name in MUTATING_INITS)


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("name", ["pissa", "olora", "orthogonal"])
def test_the_saved_adapter_fits_the_untouched_base(make_run, tiny_model, name, rslora, monkeypatch) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from training.engine import supervised

    trained = []
    write = supervised.write_output

    def keeping(attempt, model, *args, **kwargs):
        trained.append(logits(model))
        return write(attempt, model, *args, **kwargs)

    monkeypatch.setattr(supervised, "write_output", keeping)
    run_dir = make_run("lora", init_lora_weights=name, lora_r=8, use_rslora=rslora, max_steps=6, learning_rate=1e-3, bf16=False)
    assert run(run_dir.path) == 0
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    before = logits(base)
    tuned = PeftModel.from_pretrained(base, run_dir.output)
    assert tuned.peft_config["default"].init_lora_weights is True or name == "orthogonal"
    assert float((logits(tuned) - trained[0]).abs().max()) < 1e-3
    assert float((logits(tuned) - before).abs().max()) > 1e-2
    merged = tuned.merge_and_unload()
    assert float((logits(merged) - trained[0]).abs().max()) < 1e-3


def test_pissa_resumes_exactly_and_keeps_the_best(make_run, server) -> None:
    options = {"init_lora_weights": "pissa", "keep_best": True, "learning_rate": 1e-3, "lora_r": 8}
    reference = uninterrupted(make_run, server, "lora", **options)
    killed = make_run("lora", **options_of("lora", **options))
    kill_when(killed, server, lambda: newest_step(killed) >= 6)
    start(killed.path, server)
    assert ended(killed) == {"code": 0}, killed.log_file.read_text()
    same(reference, killed)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"init_lora_weights": "pissa", "use_dora": True}, "init_lora_weights"),
        ({"init_lora_weights": "orthogonal", "lora_r": 7}, "lora_r"),
    ],
)
def test_what_does_not_go_together_is_refused(make_run, options, field) -> None:
    from training.engine.spec import SpecError

    with pytest.raises(SpecError) as caught:
        make_run("lora", **options)
    assert list(caught.value.fields) == [field]


def test_rslora_and_dora_are_what_they_say(make_run) -> None:
    def layer(**options):
        return (
            built(make_run("lora", lora_r=16, lora_alpha=32, **options), "lora").model.get_base_model().model.layers[0].mlp.up_proj
        )

    assert layer().scaling["default"] == 2.0 and layer(use_rslora=True).scaling["default"] == 8.0
    assert "default" in layer(use_dora=True).lora_magnitude_vector and not layer().lora_magnitude_vector


# --- The first look ----------------------------------------------------------------------------------


def log(run_dir, level=None) -> str:
    return " ".join(event["text"] for event in events(run_dir, "log") if level in (None, event["level"]))


def test_the_first_batch_is_looked_at(make_run) -> None:
    run_dir = make_run("sft", max_steps=1, packing=True)
    assert run(run_dir.path) == 0
    assert "First batch: 4 rows" in log(run_dir) and "coins.<|im_end|>'" in log(run_dir)


def test_labels_that_are_not_the_text_are_refused(make_run) -> None:
    from training.engine.failures import EngineError
    from training.engine.preflight import look_at_first_batch

    trainer = built(make_run("sft"))
    collate = trainer.data_collator

    def shifted(rows):
        batch = collate(rows)
        return batch | {"labels": batch["labels"].roll(1)}

    trainer.data_collator = shifted
    with pytest.raises(EngineError, match="not its own tokens"):
        look_at_first_batch(trainer.attempt, trainer, trainer.processing_class)


def test_answers_that_are_cut_off_are_warned_of(make_run) -> None:
    cut, whole = make_run("sft", max_length=20, max_steps=1), make_run("sft", max_steps=1)
    assert run(cut.path) == 0 and run(whole.path) == 0
    assert "lose the end of their answer" in log(cut, "warning") and "raise max_length" in log(cut, "warning")
    assert "lose the end" not in log(whole)


def test_only_the_last_answer_is_learned_when_asked(make_run, tmp_path) -> None:
    import json

    from tests.engine.conftest import conversation

    rows = [{"line": i + 1, "messages": json.dumps([*conversation(i), *conversation(i + 1)]), "tools": None} for i in range(12)]
    path = write_rows(tmp_path / "long.parquet", rows)
    learned = []
    for last in (False, True):
        trainer = built(make_run("sft", rows=path, mask_history=last, max_length=128))
        learned.append(sum(label != -100 for row in trainer.train_dataset for label in row["labels"]))
    assert 0.4 < learned[1] / learned[0] < 0.6
