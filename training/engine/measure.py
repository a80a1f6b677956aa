"""Numbers about the machine and the process: peak memory, package versions, hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "bitsandbytes")


def peak_memory(kind: str) -> int:
    """Most bytes used so far: on the GPU where the run computes there, else of the process's resident memory."""
    if kind == "cuda":
        import torch

        return torch.cuda.max_memory_reserved()
    if kind == "mps":
        import torch

        return torch.mps.driver_allocated_memory()
    return _resident_peak()


def _resident_peak() -> int:
    """Linux's own high-water mark of this program: getrusage would count what the process was before it became this one."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # kilobytes everywhere but on macOS


def packages() -> dict[str, str]:
    """Versions of the libraries that decide a run's numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, Any]:
    """What a run ran on."""
    import psutil
    import torch

    return {
        "device": device,
        "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "memory_bytes": psutil.virtual_memory().total,
    }
