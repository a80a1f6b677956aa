"""What transformers and accelerate are told for each way of sharing the work."""

from __future__ import annotations

import pytest

from training.engine.distributed import strategy, trainer_arguments
from training.engine.execute import CANCELLED, End, failed
from training.engine.failures import Failure
from training.engine.ranks import verdict
from training.engine.spec import Config

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize(
    ("config", "way"), [({}, "none"), ({"num_gpus": 2}, "ddp"), ({"num_gpus": 2, "distributed": "fsdp"}, "fsdp")]
)
def test_several_gpus_mean_ddp_unless_something_else_is_chosen(config, way) -> None:
    assert strategy(Config(**config)) == way


def test_accelerate_understands_the_fsdp_settings(tmp_path) -> None:
    from accelerate import FullyShardedDataParallelPlugin
    from transformers import TrainingArguments

    options = trainer_arguments(Config(num_gpus=2, distributed="fsdp"), device="cuda")
    made = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)
    plugin = FullyShardedDataParallelPlugin(**made.fsdp_plugin_args)
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"


def test_deepspeed_splits_the_weights_and_leaves_the_batch_to_the_trainer() -> None:
    options = trainer_arguments(Config(num_gpus=2, distributed="deepspeed"), device="cuda")["deepspeed"]
    assert options["zero_optimization"]["stage"] == 3
    assert options["train_micro_batch_size_per_gpu"] == options["gradient_accumulation_steps"] == "auto"
    unclipped = trainer_arguments(Config(num_gpus=2, distributed="deepspeed", max_grad_norm=0), device="cuda")
    assert unclipped["deepspeed"]["gradient_clipping"] == 0.0


ECHO, REASON = failed(Failure("internal", "Connection closed by peer", "")), failed(Failure("out_of_memory", "", ""))


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ([End(0), End(0)], End(0)),
        ([ECHO, REASON], REASON),
        ([ECHO, End(0, signal=9)], End(0, signal=9)),
        ([ECHO, End(CANCELLED, step=4)], End(CANCELLED, step=4)),
        ([None, ECHO], ECHO),
    ],
)
def test_the_cause_is_told_and_not_its_echo(ends, found) -> None:
    assert verdict(ends) == found
