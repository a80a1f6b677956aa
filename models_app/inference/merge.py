"""An adapter merged into its base: `python -m models_app.inference.merge BASE ADAPTER OUTPUT`, in a process of its own.

Needs memory for the whole base once, in the number format its files have, and no GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def merge(base: Path, adapter: Path, output: Path) -> None:
    """Write the merged model in safetensors, with the adapter's tokenizer where it has one, else the base's."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", local_files_only=True)
    tokenizer_home = adapter if (adapter / "tokenizer_config.json").exists() else base
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_home, local_files_only=True)
    rows: Any = model.get_input_embeddings().weight
    if len(tokenizer) > rows.shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True)
    merged.save_pretrained(output)
    tokenizer.save_pretrained(output)


if __name__ == "__main__":
    merge(*(Path(argument) for argument in sys.argv[1:4]))
