"""NEFTune: uniform noise on the embeddings while training (Jain et al., "NEFTune" (2023), algorithm 1).

Its size is alpha / √(L·d) for a row of L tokens and d dimensions. transformers' own hook takes L from the batch's width, which
is the sum of all rows where they lie flattened behind each other; here L is each row's own, so that padding, packing and
batch size don't change what is learned.
"""

from __future__ import annotations

from typing import Any

import torch


class Noise:
    """A hook on the input embeddings. `see` must be called with every training batch before its forward pass."""

    def __init__(self, base: Any, alpha: float):
        self.alpha = alpha
        self._lengths: Any = None
        base.get_input_embeddings().register_forward_hook(self._add)

    def see(self, inputs: dict[str, Any]) -> None:
        """Remember how long each token's row is: [1, tokens, 1] for a flattened batch, [rows, 1, 1] for a padded one."""
        if "cu_seq_lens_q" in inputs:
            lengths = inputs["cu_seq_lens_q"].diff()
            self._lengths = lengths.repeat_interleave(lengths)[None, :, None]
        elif "attention_mask" in inputs:
            self._lengths = inputs["attention_mask"].sum(-1)[:, None, None]
        else:
            self._lengths = torch.tensor(inputs["input_ids"].shape[-1])

    def _add(self, module: Any, _: Any, output: Any) -> Any:
        if not module.training or self._lengths is None:
            return output
        size = self.alpha / (self._lengths.to(output.device) * output.shape[-1]).sqrt()
        return output + (torch.rand_like(output) * 2 - 1) * size
