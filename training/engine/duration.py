"""How many tokens and steps a run has, and how long it takes: work in floating-point operations over the device's speed.

FLOPs of one token through a matrix of N weights: 2N forward, 2N for the gradient of its input, 2N for its own gradient
(Kaplan et al., "Scaling Laws for Neural Language Models" (2020), section 2.1). A frozen matrix needs no gradient of its own,
so LoRA costs 4N and its small matrices 6 times theirs. Checkpointing runs each layer forward once more. Attention over L
positions costs 4·L·width forward, twice that backward; causal kernels do half.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from .activations import Plan
from .shapes import Shape
from .spec import Config

DRAWS = 400  # micro-batches drawn to see how large they are and how large the largest of a run gets
# Bytes a second that writing, fsyncing and hashing a checkpoint manages on an ordinary disk.
DISK = 250e6
# Seconds from the start of a warm engine, and of a cold one, to its first step on a small model (imports, trainer, pre-flight).
START_WARM, START_COLD = 3.0, 15.0
# Rows a second through the chat template and the tokenizer, on one core.
TOKENISE_ROWS = 1500.0
# Work beside the matrices (norms, softmax, optimizer, Python): seconds for each layer and micro-batch.
LAYER_SECONDS = {"cuda": 1.5e-3, "mps": 3e-3, "cpu": 8e-3}


@dataclass(frozen=True)
class Workload:
    """What a run computes. `tokens` are the rows' own over all epochs; `computed` are one device's positions, padding included and
    what answers share counted once."""

    rows: int
    eval_rows: int
    micro_batches: int
    steps: int
    tokens: int
    computed: int
    mean_length: float
    largest: int  # positions of the largest micro-batch
    typical: int  # positions of an ordinary one
    width: int  # the longest sequence
    evaluations: int
    checkpoints: int
    cut: float  # share of the sampled rows that are longer than they may be


def workload(
    config: Config, lengths: Sequence[int], *, rows: int, eval_rows: int, padded: bool, context: int | None = None,
    computed: float = 1.0,
) -> Workload:  # fmt: skip
    """The run's batches, from the token lengths of a sample of its rows. Steps are counted as arguments.total_steps counts them.

    `computed` is the share of the tokens that is left to compute when answers share their prompts.
    """
    most = min(config.max_length, context or config.max_length)
    long = sum(length > most for length in lengths) / len(lengths)
    lengths = [min(length, most) for length in lengths]
    sequences = packed_sequences(lengths, rows, most) if config.packing else rows
    batches = math.ceil(math.ceil(sequences / config.per_device_train_batch_size) / config.num_gpus)
    per_epoch = max(1, math.ceil(batches / config.gradient_accumulation_steps))
    steps = config.max_steps or math.ceil(config.num_train_epochs * per_epoch)
    mean, width = sum(lengths) / len(lengths), max(lengths)
    share = steps / per_epoch  # epochs, a broken one included
    micro = min(steps * config.gradient_accumulation_steps, math.ceil(share * batches))
    if config.packing:
        typical = largest = config.per_device_train_batch_size * most
        width = most
    else:
        typical, largest = batch_positions(lengths, min(config.per_device_train_batch_size, rows), micro, padded=padded)
    tokens = int(share * rows * mean)
    typical, largest = math.ceil(typical * computed), math.ceil(largest * computed)
    return Workload(
        rows=rows,
        eval_rows=eval_rows,
        micro_batches=micro,
        steps=steps,
        tokens=tokens,
        computed=max(int(tokens * computed / config.num_gpus), micro * typical),
        mean_length=mean,
        largest=largest,
        typical=typical,
        width=width,
        evaluations=_evaluations(config, steps) if eval_rows else 0,
        checkpoints=math.ceil(steps / (config.save_steps or max(1, math.ceil(steps / 5)))) + 1,
        cut=long,
    )


def packed_sequences(lengths: Sequence[int], rows: int, max_length: int) -> int:
    """Sequences that best-fit packing makes of so many rows; it leaves a few per cent empty."""
    return max(1, math.ceil(1.03 * rows * sum(lengths) / len(lengths) / max_length))


def batch_positions(lengths: Sequence[int], size: int, count: int, *, padded: bool) -> tuple[int, int]:
    """(Mean, largest) positions of a micro-batch of `size` rows among `count` of them, drawn from the sample, always the same way.

    The largest of n draws lies on average where n of n + 1 parts of them are below.
    """
    rng = random.Random(0)  # noqa: S311 - a reproducible draw, no secret
    draws = [rng.choices(lengths, k=size) for _ in range(DRAWS)]
    found = sorted(size * max(rows) if padded else sum(rows) for rows in draws)
    return round(sum(found) / DRAWS), found[min(DRAWS - 1, DRAWS * count // (count + 1))]


def _evaluations(config: Config, steps: int) -> int:
    every = config.eval_steps or max(1, math.ceil(steps / 10))
    return 1 + math.ceil(steps / every)  # the first is before the first step


def forward_flops(shape: Shape, plan: Plan, length: float) -> float:
    """FLOPs of one position's way forward through the layers, in a sequence of `length` positions."""
    matrices = sum(linear.weights * linear.active for linear in shape.linears)
    adapter = 0 if plan.trains_all else shape.adapter_parameters(plan.lora_r, plan.targets)
    return 2 * (matrices + adapter) + 2 * length * shape.attention_width * shape.layers


def training_flops(shape: Shape, plan: Plan, length: float) -> float:
    """FLOPs of one position forward and backward, the head not counted."""
    matrices = sum(linear.weights * linear.active for linear in shape.linears)
    adapter = 0 if plan.trains_all else shape.adapter_parameters(plan.lora_r, plan.targets)
    own = 2 * (matrices if plan.trains_all else adapter)
    attention = 2 * length * shape.attention_width * shape.layers
    forward = 2 * (matrices + adapter) + attention
    recomputed = forward if plan.checkpointing else 0
    return forward + 2 * (matrices + adapter) + own + 2 * attention + recomputed


def head_flops(shape: Shape, plan: Plan) -> float:
    """FLOPs of one scored position: logits and their gradient's way back; logits once more for a head that learns or on a GPU."""
    again = 2 if plan.trains_all or plan.device == "cuda" else 0
    return (4 + again + (2 if plan.trains_all else 0)) * shape.vocab * shape.hidden


def run_flops(shape: Shape, plan: Plan, work: Workload) -> float:
    """FLOPs of all training steps."""
    scored = plan.scored / max(1, plan.tokens)
    each = training_flops(shape, plan, plan.width if plan.padded else work.mean_length)
    return work.computed * (each + scored * head_flops(shape, plan))


def evaluation_flops(shape: Shape, plan: Plan, work: Workload) -> float:
    """FLOPs of all evaluations: forward only."""
    padding = work.computed / max(1, work.tokens)
    each = forward_flops(shape, plan, work.mean_length) + 2 * shape.vocab * shape.hidden
    return work.evaluations * work.eval_rows * work.mean_length * padding * each


def layer_seconds(shape: Shape, plan: Plan, work: Workload) -> float:
    """Seconds of all steps that no FLOP explains: what each layer costs even when it has next to nothing to compute."""
    passes = 1.3 if plan.checkpointing else 1.0
    return work.micro_batches * shape.layers * passes * LAYER_SECONDS[plan.device]


def beside_seconds(shape: Shape, plan: Plan, work: Workload, *, warm: bool) -> float:
    """Seconds that are not training or evaluating: start, loading, tokenising, checkpoints and the result."""
    trained = shape.parameters if plan.trains_all else shape.adapter_parameters(plan.lora_r, plan.targets)
    written = trained * 12 * work.checkpoints + trained * 4
    loading = shape.parameters * shape.stored_bytes / (2 * DISK)
    return (START_WARM if warm else START_COLD) + loading + (work.rows + work.eval_rows) / TOKENISE_ROWS + written / DISK
