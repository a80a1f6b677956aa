"""What a run will do on a device, foreseen: the same choices that model.py and arguments.py make, without torch or weights."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from . import duration
from .activations import Plan
from .duration import Workload, workload
from .fastpath import fuses
from .memory import Memory, estimate_memory
from .model import Device, uses_bf16, uses_checkpointing
from .options import MUTATING_INITS, PREFERENCE
from .reference import asked_before
from .shapes import Shape
from .spec import Config, adapter_of

# Dense 16-bit peak in FLOP/s by the name nvidia-smi gives (NVIDIA's data sheets), the longest match counts.
CUDA_PEAKS = {
    "B200": 2250e12, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12,
    "A6000": 155e12, "RTX 5090": 210e12, "RTX 4090": 165e12, "RTX 3090": 71e12, "V100": 125e12, "T4": 65e12, "P100": 19e12,
}  # fmt: skip
CUDA_UNKNOWN = 50e12
# Share of the peak that fine-tuning with ordinary kernels reaches; float32 runs at about a quarter of the 16-bit rate.
CUDA_SHARE, FLOAT_SHARE = 0.25, 0.25
MPS_FLOPS = 2e12
# Of one core without and with bfloat16 (AVX-512), measured with the bench's models: docs/estimates.md; and how much of it is left
# to the second kind in float32.
CPU_CORE_FLOPS, CPU_FLOAT_SHARE = {False: 18e9, True: 160e9}, 0.73
# Forward passes of the reference, and for KTO's loss of the model itself over the unrelated answers.
REFERENCE_PASSES, OWN_PASSES = {"dpo": 1, "kto": 2}, {"kto": 1}
WITHOUT_BF16 = ("V100", "P100", "T4", "GTX", "RTX 20", "TITAN", "P40", "P4")


@dataclass(frozen=True)
class Forecast:
    """One run foreseen. Seconds are for an undisturbed device of the table above; estimates.py corrects them by what was measured.
    `layer_seconds` are those that each layer costs even when it has next to nothing to compute, `reference_seconds` those of the
    reference's log-probabilities that are asked for before the first step."""

    plan: Plan
    work: Workload
    memory: Memory
    computing_seconds: float
    layer_seconds: float
    reference_seconds: float
    evaluation_seconds: float
    beside_seconds: float

    @property
    def training_seconds(self) -> float:
        """Of all steps."""
        return self.computing_seconds + self.layer_seconds


def device_of(kind: str, name: str, bf16: bool | None = None) -> Device:
    """The engine's idea of a device. Where nobody says whether it has bfloat16, a GPU's name does, and a CPU is taken to have none."""
    if bf16 is None:
        bf16 = kind == "cuda" and not any(word in name for word in WITHOUT_BF16)
    return Device(kind, name, bf16 and kind != "mps")


def forecast(
    shape: Shape, method: str, config: Config, device: Device, *, lengths: Sequence[int], rows: int, eval_rows: int,
    labelled: float = 1.0, shared: float = 0.0, cores: int = 1, warm: bool = True,
) -> Forecast:  # fmt: skip
    """What a run with these rows needs. `lengths` are token counts of a sample of them, `labelled` the share that is learned.

    A row of dpo and orpo is two sequences, and `lengths` counts each; `shared` is the share of tokens that a second answer has in
    common with the first, which are computed once where batches have no padding. The reference needs no memory of its own: it
    is the base without its adapter, or was asked before the first step.
    """
    speed = functools.partial(flops_per_second, device, cores=cores)
    if method in PREFERENCE and device.kind == "cpu":  # preference.find_exact_device
        device = dataclasses.replace(device, bf16=False)
    if method == "pretrain":
        lengths, rows, eval_rows = _divided(lengths, config, rows, eval_rows)
    padded = pads(shape, config, device)
    before = method in REFERENCE_PASSES and asked_before(config, rows)
    answers = 2 if method in ("dpo", "orpo") else 1
    config = dataclasses.replace(config, per_device_train_batch_size=answers * config.per_device_train_batch_size)
    rows, eval_rows = answers * rows, answers * eval_rows
    once = 1.0 - shared if answers == 2 and not padded else 1.0
    work = workload(config, lengths, rows=rows, eval_rows=eval_rows, padded=padded, context=shape.context, computed=once)
    labelled = min(1.0, labelled / once)
    plan = plan_for(shape, method, config, device, work, padded=padded, labelled=labelled)
    rate = speed(half=plan.autocast)
    forward = (
        duration.forward_flops(shape, plan, work.mean_length) + plan.scored / max(1, plan.tokens) * 2 * shape.vocab * shape.hidden
    )
    reference = REFERENCE_PASSES.get(method, 0) * forward * work.computed
    passes = OWN_PASSES.get(method, 0) * forward * work.computed + (0 if before else reference)
    asked = ((rows if before else 0) + eval_rows) * work.mean_length / max(1, work.tokens)
    return Forecast(
        plan=plan,
        work=work,
        memory=estimate_memory(shape, plan, typical_tokens=work.typical),
        computing_seconds=(duration.run_flops(shape, plan, work) + passes) / rate,
        layer_seconds=duration.layer_seconds(shape, plan, work),
        reference_seconds=reference * asked / rate,
        evaluation_seconds=duration.evaluation_flops(shape, plan, work) / rate,
        beside_seconds=duration.beside_seconds(shape, plan, work, warm=warm),
    )


def _divided(lengths: Sequence[int], config: Config, rows: int, eval_rows: int) -> tuple[list[int], int, int]:
    """The pieces that long texts become (data.py), and how many there are of all rows."""
    most = config.max_length
    pieces = [part for length in lengths for part in [most] * (length // most) + ([length % most] if length % most > 1 else [])]
    factor = len(pieces) / max(1, len(lengths))
    return pieces or list(lengths), round(rows * factor), round(eval_rows * factor)


def pads(shape: Shape, config: Config, device: Device) -> bool:
    """Whether short rows are filled up to the longest of their micro-batch: as fastpath.py decides, as far as the config tells."""
    if config.packing or config.per_device_train_batch_size == 1:
        return False
    slides = shape.window is not None and shape.window < config.max_length
    return device.kind == "mps" or slides or shape.family == "gemma2"


def plan_for(shape: Shape, method: str, config: Config, device: Device, work: Workload, *, padded: bool, labelled: float) -> Plan:
    """The run's largest micro-batch."""
    half = uses_bf16(config, device)
    adapter = adapter_of(method, {"adapter": config.adapter})
    rows = config.per_device_train_batch_size
    return Plan(
        adapter=adapter,
        device=device.kind,
        half_base=half and adapter != "none" and config.init_lora_weights not in MUTATING_INITS,
        autocast=half or config.fp16,
        checkpointing=uses_checkpointing(config, device),
        optim=config.optim,
        accumulates=config.gradient_accumulation_steps > 1,
        lora_r=config.lora_r,
        lora_dropout=config.lora_dropout,
        targets=tuple(config.lora_target_modules),
        dora=config.use_dora,
        rows=rows,
        width=work.width,
        tokens=work.largest,
        scored=max(1, int(work.largest * labelled)),
        padded=padded,
        flattened=not padded and (rows > 1 or config.packing or device.kind == "cpu"),
        fused=fuses(config, device.kind),
        # Attention that is written out keeps its scores: Gemma 2 has no other, and no CPU kernel drops them at random.
        quadratic=shape.family == "gemma2" or (shape.attention_dropout and device.kind != "cuda"),
    )


def flops_per_second(device: Device, *, half: bool, cores: int) -> float:
    """A careful guess of what training reaches on this kind of device; the history of real runs replaces it."""
    if device.kind == "mps":
        return MPS_FLOPS
    if device.kind == "cpu":
        return CPU_CORE_FLOPS[device.bf16] * max(1, cores) * (1.0 if half or not device.bf16 else CPU_FLOAT_SHARE)
    known = max((name for name in CUDA_PEAKS if name in device.name), key=len, default="")
    return CUDA_PEAKS.get(known, CUDA_UNKNOWN) * CUDA_SHARE * (1.0 if half else FLOAT_SHARE)
