"""Which library multiplies float32 matrices on a CPU.

torch asks MKL, which takes its AVX2 code on AMD's processors whatever they can do. oneDNN, which torch brings too, has code for
their AVX-512: half the time for the same digits. torch hands float32 products to it only where rounding them to bfloat16 is
allowed; it rounds on processors with AMX alone, so what comes out is measured before it is believed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

DIGITS = 2e-6  # relative error that float32 sums of this length may have; bfloat16's is a thousand times that
CPUINFO = Path("/proc/cpuinfo")


def prefer_quick(cpuinfo: Path = CPUINFO) -> bool:
    """Let oneDNN multiply float32 matrices in this process if this processor gains by it and loses no digit. Whether it does."""
    import torch

    matmul = _settings()
    if matmul.fp32_precision == "bf16":
        return True
    if not (torch.backends.mkldnn.is_available() and _mkl_holds_back(cpuinfo)):
        return False
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16"
    if not _exact():
        matmul.fp32_precision = before
    return are_quick()


def are_quick() -> bool:
    """Whether `prefer_quick` chose oneDNN in this process."""
    return bool(_settings().fp32_precision == "bf16")


def _settings() -> Any:
    import torch

    return getattr(torch.backends.mkldnn, "matmul")  # noqa: B009 - torch's types don't name it


def _mkl_holds_back(cpuinfo: Path) -> bool:
    import torch

    try:
        amd = "AuthenticAMD" in cpuinfo.read_text()
    except OSError:
        return False
    return amd and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _exact() -> bool:
    """Whether products keep float32's digits; no generator of the run is touched."""
    import torch

    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randn(shape, generator=generator) for shape in ((96, 320), (320, 160)))
    right = one.double() @ two.double()
    return bool((one @ two - right).norm() <= DIGITS * right.norm())
