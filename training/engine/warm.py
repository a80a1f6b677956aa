"""Importing the training stack without starting a thread or touching a GPU, so that the process can fork afterwards."""

from __future__ import annotations

import gc
import importlib
import os

IMPORTS = (
    "torch", "transformers", "peft", "accelerate", "datasets", "pyarrow.parquet", "trl", "trl.trainer.sft_trainer", "trl.trainer.dpo_trainer",
    "trl.trainer.kto_trainer", "trl.experimental.orpo", "numpy",
)  # fmt: skip
OURS = (
    "supervised", "labelloss", "trainer", "callbacks", "unpadded", "reference", "methods.sft", "methods.lora", "methods.qlora", "methods.dpo", "methods.orpo",
    "methods.kto",
)  # fmt: skip
# Libraries that would start a thread when imported. (torch's own threads come later, with its first operation.)
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


def import_stack() -> None:
    """Import everything a run needs; what is imported stays shared with forked children."""
    os.environ.update({name: os.environ.get(name, value) for name, value in SINGLE_THREADED.items()})
    for name in IMPORTS:
        importlib.import_module(name)
    importlib.import_module(f"{__package__}.methods")
    for name in OURS:
        importlib.import_module(f"{__package__}.{name}")
    gc.collect()
    gc.freeze()  # the collector would copy the shared pages
