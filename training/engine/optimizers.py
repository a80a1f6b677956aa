"""Which optimizers a run may use, and what they are told."""

from __future__ import annotations

from typing import Any

from .installed import is_missing
from .options import CUDA_OPTIMIZERS, PACKAGE_OPTIMIZERS, Config

PACKAGES = {
    "optimi": "torch-optimi",
    "apollo_torch": "apollo-torch",
    "galore_torch": "galore-torch",
}  # import name → name to install
# They project the gradients of whole weight matrices, which an adapter has none of.
PROJECTING = ("apollo_adamw", "galore_adamw", "galore_adafactor")


def optimizer_arguments(config: Config) -> dict[str, Any]:
    """What transformers is told about the optimizer."""
    arguments: dict[str, Any] = {
        "optim": config.optim,
        "weight_decay": config.weight_decay,
        "adam_beta1": config.adam_beta1,
        "adam_beta2": config.adam_beta2,
        "adam_epsilon": config.adam_epsilon,
    }
    return arguments | ({"optim_target_modules": "all-linear"} if config.optim in PROJECTING else {})


def optimizer_refusal(optim: str, *, device: str, adapter: bool) -> str | None:
    """Why this optimizer can't be used on this kind of device or with an adapter, and what to do; None when it can."""
    if optim in CUDA_OPTIMIZERS:
        if device != "cuda":
            return f"{optim} comes from bitsandbytes and needs an NVIDIA GPU. Choose adamw_torch, or adafactor to save memory."
        return _missing("bitsandbytes", "bitsandbytes", optim)
    if optim in PACKAGE_OPTIMIZERS:
        if optim in PROJECTING and adapter:
            return f"{optim} projects the gradients of whole weight matrices; with an adapter choose adamw_torch."
        module = PACKAGE_OPTIMIZERS[optim]
        return _missing(module, PACKAGES.get(module, module), optim)
    return None


def _missing(module: str, package: str, optim: str) -> str | None:
    if not is_missing(module):
        return None
    return (
        f"{optim} needs the package {package}, which is not installed where the run would start. Install it or choose adamw_torch."
    )
