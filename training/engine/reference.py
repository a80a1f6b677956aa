"""What the reference model thinks of the answers: computed once for each row, kept by content, never twice.

DPO and KTO hold the model to what it was at the start: the base, which is there again whenever an adapter is switched off. Only
one that took a part of the base's weights (pissa, olora) leaves less behind; with it the model is asked as it stands before its
first step. The log-probabilities of the answers don't change, so they are computed before the first step, in batches of fixed
order (so that they come out the same to the last bit however often a run is killed), and each batch is appended to a file at
once: a run that is started again goes on where it stopped.

    $AIFT_CACHE_DIR/reference/<key>.logps            complete; without a cache in the run's data/
    …/<key>.<job>.<rank>-<ranks>.part                being written: for each batch float32 values [columns, rows] and their CRC

Several ranks share the batches out, and rank 0 puts them together.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

from .attempt import Attempt
from .checkpoints import sha256
from .datacache import KEEP_SECONDS, cache_folder
from .options import MUTATING_INITS
from .products import are_quick
from .spec import Config

# Code that decides the numbers.
FUSED = ("fused/attention.py", "fused/lora.py", "fused/norm.py", "fused/rotary.py")
MAKERS = ("reference.py", "unpadded.py", "attention.py", "labelloss.py", "preference_data.py", "quantization.py", *FUSED)
COLUMNS = {"dpo": ("ref_chosen_logps", "ref_rejected_logps"), "kto": ("ref_logps", "ref_KL_logps")}


class Referenced:
    """Mixin for TRL's DPO and KTO trainers: takes the reference from the batch where it is there, else computes it."""

    attempt: Attempt
    model: Any
    ref_model: Any
    precompute_ref_logps: bool

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        self.precompute_ref_logps = any(name.startswith("ref_") for name in inputs)
        return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
        """The rows have been tokenised already (preference_data.py)."""
        return dataset

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """TRL switches the adapter off, but not beside a reference model: so the model is its own before its first step."""
        self.ref_model = self.model if changes_base(self.attempt.config) else None
        try:
            return super().compute_ref_log_probs(model, inputs)  # type: ignore[misc]
        finally:
            self.ref_model = None

    def _precompute_ref_logps(self, dataset: Any, *args: Any) -> Any:
        """`add_reference` does it, once the quick way of computing is in place."""
        return dataset


def add_reference(attempt: Attempt, trainer: Any, *, flat: bool) -> None:
    """Give the trainer's rows their reference. The rows that are learned get it only when that is quicker than in the step."""
    if asked_before(attempt.config, len(trainer.train_dataset)):
        trainer.train_dataset = _with_columns(attempt, trainer, trainer.train_dataset, "train", flat)
    if trainer.eval_dataset is not None:
        trainer.eval_dataset = _with_columns(attempt, trainer, trainer.eval_dataset, "eval", flat)


def asked_before(config: Config, rows: int) -> bool:
    """Whether the reference of the rows that are learned is computed before the first step: when each is seen at least once, or
    when the base is soon no longer the reference."""
    if config.adapter == "none" or changes_base(config) or not config.max_steps:
        return True
    return config.max_steps * config.per_device_train_batch_size * config.gradient_accumulation_steps * config.num_gpus >= rows


def changes_base(config: Config) -> bool:
    """Whether the adapter begins with a part of the base's weights, so that the base alone is not the model at the start."""
    return config.adapter == "lora" and config.init_lora_weights in MUTATING_INITS


def _with_columns(attempt: Attempt, trainer: Any, rows: Any, name: str, flat: bool) -> Any:
    import numpy as np
    from datasets import Dataset, concatenate_datasets

    columns = COLUMNS[attempt.spec.method][: 2 if attempt.config.loss_type != "apo_zero_unpaired" else 1]
    size = attempt.config.per_device_train_batch_size
    folder = cache_folder("reference") or attempt.dir.data
    folder.mkdir(parents=True, exist_ok=True)
    key = _key(attempt, trainer, name, flat)
    done = folder / f"{key}.logps"
    if not attempt.world.share(done.is_file()):
        _compute(attempt, trainer, rows, len(columns), done)
    os.utime(done)
    batches, _ = _read(done, _batches(len(rows), size), len(columns))
    values = np.concatenate(batches, axis=1)
    added = Dataset.from_dict(dict(zip(columns, values, strict=True)))
    return concatenate_datasets([rows, added], axis=1)


def _compute(attempt: Attempt, trainer: Any, rows: Any, columns: int, done: Path) -> None:
    """Write the reference of all rows to `done`; what an earlier attempt has written is kept."""
    world, started, training = attempt.world, time.monotonic(), trainer.model.training
    batches = _batches(len(rows), attempt.config.per_device_train_batch_size)
    parts = [done.with_name(f"{done.stem}.{attempt.spec.job or 'run'}.{rank}-{world.size}.part") for rank in range(world.size)]
    trainer.model.eval()
    _write_part(attempt, trainer, rows, columns, batches[world.rank :: world.size], parts[world.rank])
    trainer.model.train(training)
    world.wait()
    if world.is_main:
        _join(parts, batches, columns, done)
        _forget_old(done.parent)
    world.wait()
    attempt.log(f"The reference's log-probabilities of {len(rows)} rows took {time.monotonic() - started:.1f} s; they are kept.")


def _batches(rows: int, size: int) -> list[range]:
    return [range(first, min(first + size, rows)) for first in range(0, rows, size)]


def _write_part(attempt: Attempt, trainer: Any, rows: Any, columns: int, batches: list[range], part: Path) -> None:
    """Go on with this rank's batches where its part ends."""
    known, length = _read(part, batches, columns) if part.is_file() else ([], 0)
    with open(part, "ab") as file:
        file.truncate(length)
        for batch in batches[len(known) :]:
            attempt.stop.check()
            file.write(_sealed(_batch(trainer, rows, batch, columns)))
            file.flush()
        os.fsync(file.fileno())


def _join(parts: list[Path], batches: list[range], columns: int, done: Path) -> None:
    """Put the ranks' parts together in the order of the batches."""
    if len(parts) > 1:
        shares = [iter(_read(part, batches[rank :: len(parts)], columns)[0]) for rank, part in enumerate(parts)]
        whole = done.with_name(f"{parts[0].name}.whole.part")
        whole.write_bytes(b"".join(_sealed(next(shares[index % len(parts)])) for index in range(len(batches))))
        for part in parts:
            part.unlink()
        parts = [whole]
    os.replace(parts[0], done)


def _forget_old(folder: Path) -> None:
    """Remove what no run has used for long, and parts that nobody finished."""
    for path in folder.glob("*.*"):
        with contextlib.suppress(OSError):
            if path.suffix in (".logps", ".part") and time.time() - path.stat().st_mtime > KEEP_SECONDS:
                path.unlink()


def _batch(trainer: Any, rows: Any, indices: range, columns: int) -> Any:
    """float32 [columns, rows] of one batch."""
    import numpy as np

    inputs = trainer._prepare_inputs(trainer.data_collator([rows[index] for index in indices]))
    found = trainer.compute_ref_log_probs(trainer.model, inputs)[:columns]
    return np.stack([part.float().cpu().numpy() for part in found])


def _sealed(values: Any) -> bytes:
    content = values.astype("<f4").tobytes()
    return content + zlib.crc32(content).to_bytes(4, "little")


def _read(path: Path, batches: list[range], columns: int) -> tuple[list[Any], int]:
    """The whole batches at the beginning of the file, and where they end."""
    import numpy as np

    content, found, at = path.read_bytes(), [], 0
    for batch in batches:
        end = at + 4 * columns * len(batch)
        values, seal = content[at:end], content[end : end + 4]
        if len(seal) < 4 or zlib.crc32(values) != int.from_bytes(seal, "little"):
            break
        found.append(np.frombuffer(values, "<f4").reshape(columns, len(batch)))
        at = end + 4
    return found, at


def _key(attempt: Attempt, trainer: Any, name: str, flat: bool) -> str:
    """Everything that decides the numbers to the last bit: weights, rows, order, precision, machine, code."""
    import torch

    config, base = attempt.config, trainer.model
    parts = {
        "rows": sha256(attempt.dir.data / f"{name}.arrow"),
        "weights": [sha256(path) for path in sorted(attempt.model_path.glob("*.safetensors"))],
        "model": (attempt.model_path / "config.json").read_text(),
        "method": [attempt.spec.method, config.adapter, config.loss_type, config.per_device_train_batch_size],
        "ranks": attempt.world.size,
        "beginning": _beginning(config),
        "order": config.seed if attempt.spec.method == "kto" else None,
        "precision": [str(base.dtype), trainer.args.bf16, trainer.args.fp16, flat],
        "machine": [str(base.device), torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(), are_quick(), _gpu()],
        "makers": [sha256(Path(__file__).parent / maker) for maker in MAKERS],
        "packages": [importlib.metadata.version(package) for package in ("torch", "transformers", "trl", "peft")],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _beginning(config: Config) -> list[Any]:
    """What decides how the base is divided between itself and the adapter, and so how the model's numbers are rounded."""
    if not changes_base(config):
        return []
    how = [config.init_lora_weights, config.lora_target_modules, config.lora_r, config.lora_alpha, config.use_rslora]
    return [*how, config.seed]


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
