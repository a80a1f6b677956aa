"""Which layers of a model are computed in our way, where the model's answers stay the same."""

from __future__ import annotations

from typing import Any

from . import lora, norm, rotary


def install(model: Any, base: Any) -> tuple[list[str], Any]:
    """Put our layers into a model on a CPU; `base` is the transformers model inside `model`. (What was put in, how to undo it)."""
    adapters, norms, turned = lora.install(model), norm.install(model), rotary.install(base)
    words = {"adapters": adapters, "norms": norms, "rotary embeddings": turned}

    def undo() -> None:
        for module in adapters + norms:
            del module.forward
        if turned:
            turned()

    return [word for word, found in words.items() if found], undo
