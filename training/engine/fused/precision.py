"""In which precision a layer computes."""

from __future__ import annotations

from typing import Any

import torch


def compute_dtype(x: Any) -> Any:
    """What autocast would compute in, where it is on."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
