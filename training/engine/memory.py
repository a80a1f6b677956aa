"""How many bytes a run will need at its peak, by part, from the model's shape alone.

    expected = overhead + weights + optimizer + max(activations + logits [+ gradients], gradients + the update's buffers)

The two phases of a step don't overlap: activations are freed as gradients come. `high` adds everything up as if they did
(the allocator's holes), `low` takes the micro-batch that is typical instead of the largest one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .activations import FLOAT, HALF, Plan, head_bytes, saved_bytes, work_bytes
from .shapes import Shape

MIB = 1024**2
# What the process holds beside its model: Python, torch, transformers, TRL and their buffers, and what oneDNN has compiled after
# some twenty steps (measured: docs/estimates.md).
CPU_OVERHEAD = 615 * MIB
# What oneDNN keeps beside when it computes in bfloat16: its copies of weights and its compiled products (measured as above).
CPU_BF16_OVERHEAD = 42 * MIB
# A CUDA context with cuBLAS's workspaces; published measurements lie between 300 and 600 MiB.
CUDA_OVERHEAD = 600 * MIB
# What the allocator holds in pieces that can't be used again, as a share of the memory that comes and goes in every step.
# On a CPU it is glibc's heap under batches of ever changing size (measured: docs/estimates.md).
HOLES = {"cuda": 0.08, "mps": 0.08, "cpu": 0.5}
# The same on a CPU that computes in float32 with four-bit layers: each is unpacked into a matrix of its own, again and again.
FOUR_BIT_HOLES = 0.9
# Bytes an optimizer keeps for each trained parameter (torch.optim and bitsandbytes; Adafactor keeps rows and columns).
OPTIMIZER_BYTES = {"adafactor": 0.1, "sgd": 0.0, "adagrad": 4.0, "rmsprop": 4.0}
ADAM_BYTES, ADAM_8BIT_BYTES = 8.0, 2.1
# NF4 with double quantisation: 4 bits, a scale of 8 bits for 64 values, a second one of 32 bits for 256 of those
# (Dettmers et al., "QLoRA" (2023), section 3).
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8


@dataclass(frozen=True)
class Parts:
    """Bytes of each thing at its own largest."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int


@dataclass(frozen=True)
class Memory:
    """Peak bytes of the device (of the process's resident memory on a CPU). `expected` lies between `low` and `high`."""

    low: int
    expected: int
    high: int
    parts: Parts

    def scaled(self, ratio: float, spread: float) -> Memory:
        """The same with its level corrected by what earlier runs showed, and a range of ± `spread`."""
        expected = int(self.expected * ratio)
        return dataclasses.replace(self, low=int(expected * (1 - spread)), expected=expected, high=int(expected * (1 + spread)))


def estimate_memory(shape: Shape, plan: Plan, *, typical_tokens: int | None = None) -> Memory:
    """The peak of one run. `plan` describes its largest micro-batch; `typical_tokens` an ordinary one, for `low`."""
    trained = trained_parameters(shape, plan)
    weights = _weights(shape, plan)
    gradients, optimizer = FLOAT * trained, optimizer_bytes(plan.optim) * trained
    saved, head, work = saved_bytes(shape, plan), head_bytes(shape, plan), work_bytes(shape, plan)
    # The head's gradient is summed up beside each slice's share of it.
    head_gradient = 2 * FLOAT * shape.vocab * shape.hidden if plan.trains_all else 0
    # With accumulation the sum of the earlier micro-batches is there all the time.
    standing = gradients if plan.accumulates else head_gradient
    step = max(saved + max(head, work) + standing, gradients + _update_bytes(shape, plan, trained))
    moving = max(step, _loading_bytes(shape, plan) - weights - optimizer)
    base = CUDA_OVERHEAD if plan.device == "cuda" else CPU_OVERHEAD + (CPU_BF16_OVERHEAD if plan.autocast else 0)
    overhead = base + _holes(plan) * step
    parts = Parts(*(int(value) for value in (weights, gradients, optimizer, saved + work, head, overhead)))
    expected = int(overhead + weights + optimizer + moving)
    high = max(sum(dataclasses.astuple(parts)), int(1.05 * expected))
    share = min(1.0, (typical_tokens or plan.tokens) / max(1, plan.tokens))
    low = max(base + weights, 0.95 * expected - (1 - share) * (1 + _holes(plan)) * (saved + max(head, work)))
    return Memory(int(min(low, expected)), expected, high, parts)


def _holes(plan: Plan) -> float:
    unpacks = plan.device == "cpu" and plan.adapter == "qlora" and not plan.autocast
    return FOUR_BIT_HOLES if unpacks else HOLES[plan.device]


def trained_parameters(shape: Shape, plan: Plan) -> int:
    """Parameters that learn; they, their gradients and the optimizer's state are float32."""
    return shape.parameters if plan.trains_all else shape.adapter_parameters(plan.lora_r, plan.targets, dora=plan.dora)


def optimizer_bytes(optim: str) -> float:
    """Bytes of state for each trained parameter."""
    if "8bit" in optim or "4bit" in optim:
        return ADAM_8BIT_BYTES
    if "lion" in optim or "rmsprop" in optim:
        return FLOAT
    return OPTIMIZER_BYTES.get(optim, ADAM_BYTES)


def _weights(shape: Shape, plan: Plan) -> float:
    """The model, its adapter, and autocast's 16-bit copies of float32 matrices, which live until the backward pass is through."""
    matrices = sum(linear.weights for linear in shape.linears)
    if plan.adapter == "qlora":
        base = NF4_BYTES * matrices + HALF * (shape.parameters - matrices)
    else:
        base = (HALF if plan.half_base else FLOAT) * shape.parameters
    adapter = 0 if plan.trains_all else FLOAT * trained_parameters(shape, plan)
    copies = HALF * matrices if plan.autocast and not plan.half_base and plan.adapter != "qlora" else 0
    return base + adapter + copies


def _update_bytes(shape: Shape, plan: Plan, trained: int) -> float:
    """Buffers of the optimizer's step: torch's grouped kernels on a GPU make one more copy, the loop on a CPU two of its largest matrix."""
    if plan.device == "cuda":
        return 0.0 if "fused" in plan.optim else FLOAT * trained
    largest = max((linear.inputs * linear.outputs for linear in shape.linears), default=0)
    return 2 * FLOAT * (max(shape.vocab * shape.hidden, largest) if plan.trains_all else 0)


def _loading_bytes(shape: Shape, plan: Plan) -> float:
    """On a CPU the file's pages count as ours while the weights are read from it."""
    held = (HALF if plan.half_base else FLOAT) + shape.stored_bytes
    return held * shape.parameters if plan.device == "cpu" else 0.0
