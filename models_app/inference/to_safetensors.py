"""Pickled weights become safetensors: `python -m models_app.inference.to_safetensors DIRECTORY`, in a process of its own.

transformers reads them with torch's weights_only loader, which makes tensors and runs no code that a file brings.
"""

from __future__ import annotations

import sys
from pathlib import Path


def to_safetensors(directory: Path) -> None:
    """Write model*.safetensors beside the pickled files and remove those. Needs memory for the whole model once."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype="auto", use_safetensors=False, local_files_only=True)
    model.save_pretrained(directory)
    for path in [*directory.glob("pytorch_model*.bin"), *directory.glob("pytorch_model*.index.json")]:
        path.unlink()


if __name__ == "__main__":
    to_safetensors(Path(sys.argv[1]))
