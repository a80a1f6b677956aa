"""A spec is checked field by field, survives JSON, and never runs half-checked."""

from __future__ import annotations

import json

import pytest

from training.engine.methods import METHODS as MODULES
from training.engine.rundir import RunDir
from training.engine.spec import METHOD_KINDS, METHODS, SpecError, check_config, config_fields, from_dict, to_dict


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"max_steps": 1.5}, "max_steps"),
        ({"lora_r": True}, "lora_r"),
        ({"optim": "magic"}, "optim"),
        ({"lora_target_modules": []}, "lora_target_modules"),
        ({"packing": "yes"}, "packing"),
        ({"lora_rank": 3}, "lora_rank"),
        ({"bf16": True, "fp16": True}, "fp16"),
    ],
)
def test_it_names_the_field_that_is_wrong(values, field) -> None:
    with pytest.raises(SpecError) as caught:
        check_config("lora", values)
    assert list(caught.value.fields) == [field]


def test_it_fills_in_the_methods_defaults() -> None:
    assert check_config("sft", {})["learning_rate"] < check_config("lora", {})["learning_rate"]
    assert check_config("lora", {"lora_r": "8"})["lora_r"] == 8


def test_an_option_of_another_method_is_refused_unless_it_changes_nothing() -> None:
    with pytest.raises(SpecError) as caught:
        check_config("sft", {"lora_r": 8, "lora_alpha": 32})
    assert list(caught.value.fields) == ["lora_r"] and "sft" in caught.value.fields["lora_r"][0]
    assert "lora_alpha" not in check_config("sft", {"lora_alpha": 32}) and "lora_r" in check_config("lora", {})
    assert {name for item in config_fields() for name in item.metadata["methods"]} <= set(METHODS)


def test_every_field_says_what_it_is() -> None:
    assert all(item.metadata["help"] and item.metadata["group"] for item in config_fields())


def test_every_method_can_be_run_and_has_its_kinds() -> None:
    assert set(MODULES) == set(METHODS) == set(METHOD_KINDS)


def test_it_survives_json(make_run) -> None:
    spec = make_run("lora", lora_r=4, lora_target_modules=["q_proj"]).read_spec()
    assert from_dict(json.loads(json.dumps(to_dict(spec)))) == spec


@pytest.mark.parametrize("change", [{"model": {}}, {"data": {"path": "x"}}, {"surprise": 1}, {"config": {"lora_r": 0}}])
def test_an_incomplete_or_unknown_part_is_refused(make_run, change) -> None:
    with pytest.raises(SpecError):
        from_dict(to_dict(make_run().read_spec()) | change)


def test_paths_are_relative_to_the_run_directory(tmp_path) -> None:
    run_dir = RunDir(tmp_path)
    assert run_dir.resolve("data/x") == tmp_path.resolve() / "data/x"
    assert str(run_dir.resolve("/abs")) == "/abs"


@pytest.mark.parametrize(
    "values", [{"num_gpus": 2, "distributed": "none"}, {"distributed": "fsdp"}, {"num_gpus": 1, "distributed": "deepspeed"}]
)
def test_devices_and_their_way_of_sharing_must_agree(values) -> None:
    with pytest.raises(SpecError) as refused:
        check_config("sft", values)
    assert "distributed" in refused.value.fields
