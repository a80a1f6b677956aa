"""What providers' machines cost where nobody has asked them yet: list prices in USD an hour, with their date and source.

Live prices (services/refresh_prices.py) and an operator's own (the admin) come before these.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 1024**3


@dataclass(frozen=True)
class Listed:
    """`memory_gb` is one accelerator's, the machine's where it has none."""

    id: str
    name: str
    kind: str
    memory_gb: int
    price_per_hour: float
    count: int = 1


HF_SOURCE, HF_AS_OF = "huggingface.co/docs/hub", "2026-08-21"
_HF = (
    Listed("cpu-upgrade", "CPU Upgrade (8 vCPU)", "cpu", 32, 0.03),
    Listed("t4-small", "Nvidia T4 small", "cuda", 16, 0.40),
    Listed("t4-medium", "Nvidia T4 medium", "cuda", 16, 0.60),
    Listed("l4x1", "Nvidia L4", "cuda", 24, 0.80),
    Listed("l4x4", "4 × Nvidia L4", "cuda", 24, 3.80, 4),
    Listed("l40sx1", "Nvidia L40S", "cuda", 48, 1.80),
    Listed("l40sx4", "4 × Nvidia L40S", "cuda", 48, 8.30, 4),
    Listed("l40sx8", "8 × Nvidia L40S", "cuda", 48, 23.50, 8),
    Listed("a10g-small", "Nvidia A10G small", "cuda", 24, 1.00),
    Listed("a10g-large", "Nvidia A10G large", "cuda", 24, 1.50),
    Listed("a10g-largex2", "2 × Nvidia A10G", "cuda", 24, 3.00, 2),
    Listed("a10g-largex4", "4 × Nvidia A10G", "cuda", 24, 5.00, 4),
    Listed("a100-large", "Nvidia A100", "cuda", 80, 2.50),
    Listed("a100x4", "4 × Nvidia A100", "cuda", 80, 10.00, 4),
    Listed("a100x8", "8 × Nvidia A100", "cuda", 80, 20.00, 8),
    Listed("rtx-pro-6000", "Nvidia RTX PRO 6000", "cuda", 96, 2.75),
)
_HF_JOBS_ONLY = (
    Listed("cpu-basic", "CPU Basic (2 vCPU)", "cpu", 16, 0.01),
    Listed("cpu-xl", "CPU XL", "cpu", 124, 1.00),
    Listed("h200", "Nvidia H200", "cuda", 141, 5.00),
    Listed("h200x2", "2 × Nvidia H200", "cuda", 141, 10.00, 2),
    Listed("h200x4", "4 × Nvidia H200", "cuda", 141, 20.00, 4),
    Listed("h200x8", "8 × Nvidia H200", "cuda", 141, 40.00, 8),
)
# A Sandbox is billed for its GPU and, at three times a Function's rate, for the cores and the memory it asked for: so many for each GPU.
MODAL_CORES, MODAL_MEMORY_GIB = 2, 8
MODAL_CORE_SECOND, MODAL_GIB_SECOND = 0.0000393, 0.00000666
MODAL_MACHINE_HOUR = 3600 * (MODAL_CORES * MODAL_CORE_SECOND + MODAL_MEMORY_GIB * MODAL_GIB_SECOND)
MODAL_SOURCE = (
    f"modal.com/pricing: GPU with {MODAL_CORES} cores and {MODAL_MEMORY_GIB} GiB for each; memory beyond that comes on top"
)
MODAL_AS_OF = "2026-06-27"
_MODAL = (
    ("T4", 16, 0.5904, 8), ("L4", 24, 0.7992, 8), ("A10G", 24, 1.1016, 4), ("A100-40GB", 40, 2.0988, 8), ("A100-80GB", 80, 2.4984, 8),
    ("L40S", 48, 1.9512, 8), ("H100", 80, 3.9492, 8), ("H200", 141, 4.5396, 8), ("B200", 192, 6.2496, 8),
)  # fmt: skip


def _modal() -> tuple[Listed, ...]:
    counts = [(row, count) for row in _MODAL for count in (1, 2, 4, 8) if count <= row[3]]
    return tuple(
        Listed(name if count == 1 else f"{name}:{count}", f"{'' if count == 1 else f'{count} × '}Nvidia {name}", "cuda", memory,
               round((price + MODAL_MACHINE_HOUR) * count, 4), count)
        for (name, memory, price, _), count in counts
    )  # fmt: skip


# executor → (machines, source, date)
LISTS: dict[str, tuple[tuple[Listed, ...], str, str]] = {
    "hf_jobs": (_HF_JOBS_ONLY[:1] + _HF + _HF_JOBS_ONLY[1:], HF_SOURCE, HF_AS_OF),
    "hf_spaces": ((Listed("cpu-basic", "CPU Basic (2 vCPU)", "cpu", 16, 0.0), *_HF), HF_SOURCE, HF_AS_OF),
    "modal": (_modal(), MODAL_SOURCE, MODAL_AS_OF),
}
