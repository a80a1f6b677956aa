"""The environment an engine gets: what training needs by name, and so never a secret of ours."""

from __future__ import annotations

import os

from django.conf import settings

ALLOWED = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_CACHE", "XDG_CACHE_HOME", "SSL_CERT_FILE",
    "AIFT_CPU_PROCESSES",
}  # fmt: skip
ALLOWED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "PYTORCH_", "TORCH_", "TRITON_", "ROCM_", "HIP_")  # fmt: skip


def engine_environment() -> dict[str, str]:
    """This process's environment without anything that is not on the list, so that a run can't print our secrets."""
    kept = {name: value for name, value in os.environ.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}
    ours = {"PYTHONPATH": str(settings.BASE_DIR), "AIFT_CACHE_DIR": str(settings.DATA_DIR / "cache")}
    return kept | ours | {"HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
