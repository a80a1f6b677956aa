"""This machine's devices with memory and utilisation now. Asks the system and nvidia-smi; imports no torch."""

from __future__ import annotations

import functools
import platform
import shutil
import socket
import subprocess
from dataclasses import dataclass

import psutil

NVIDIA_FIELDS = ("index", "name", "memory.total", "memory.used", "utilization.gpu", "temperature.gpu", "compute_cap")
# Compute capability from which NVIDIA's cards have bfloat16 (Ampere), and what a processor's flags call it.
CUDA_BF16 = 8.0
CPU_BF16 = {"avx512_bf16", "amx_bf16"}
MIB = 1024**2


@dataclass(frozen=True)
class Device:
    """A device a run can use. Memory in bytes, utilisation as a fraction of 1, `bf16`: whether it has instructions for bfloat16;
    None where the system does not tell."""

    id: str
    kind: str
    name: str
    host: str
    memory_bytes: int | None
    memory_used_bytes: int | None
    utilisation: float | None
    temperature_celsius: float | None = None
    bf16: bool | None = None


def list_devices() -> list[Device]:
    """GPUs first, then the processor."""
    return [*_cuda(), *_mps(), _cpu()]


def _cpu() -> Device:
    memory = psutil.virtual_memory()
    cores = psutil.cpu_count(logical=True)
    # Against the moment of the last call in this process; the very first call has nothing to compare with.
    busy = psutil.cpu_percent(interval=None) / 100
    used = memory.total - memory.available
    return Device(
        "cpu", "cpu", f"{_processor_name()} · {cores} cores", socket.gethostname(), memory.total, used, busy, bf16=_cpu_bf16()
    )


def _processor_name() -> str:
    return _processor("model name") or platform.processor() or platform.machine()


def _cpu_bf16() -> bool | None:
    """As engine/model.py asks torch."""
    flags = _processor("flags")
    return None if flags is None else bool(CPU_BF16 & set(flags.split()))


@functools.cache
def _processor(fact: str) -> str | None:
    """What Linux says about the first core."""
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(fact)), None)
    except OSError:
        return None


def _cuda() -> list[Device]:
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-gpu={','.join(NVIDIA_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [device for line in answer.splitlines() if (device := parse_nvidia_line(line))]


def parse_nvidia_line(line: str) -> Device | None:
    """One line of nvidia-smi's CSV (MiB, percent, °C, compute capability); values the driver does not know come as [N/A]."""
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != len(NVIDIA_FIELDS):
        return None
    index, name, *numbers = parts
    total, used, busy, heat, capability = (_number(text) for text in numbers)
    load = None if busy is None else busy / 100
    able = None if capability is None else capability >= CUDA_BF16
    return Device(f"cuda:{index}", "cuda", name, socket.gethostname(), _bytes(total), _bytes(used), load, heat, able)


def _bytes(mib: float | None) -> int | None:
    return None if mib is None else int(mib * MIB)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _mps() -> list[Device]:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return []
    memory = psutil.virtual_memory()  # unified: the GPU uses the machine's own
    return [Device("mps", "mps", "Apple GPU", socket.gethostname(), memory.total, memory.total - memory.available, None)]
