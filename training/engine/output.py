"""What a finished run leaves: output/ with the weights, the tokenizer and the manifest that lets one repeat it.

output/   adapter or full model, tokenizer with its chat template, generation_config.json,
          manifest.json: {method, spec, step, metrics, weights_sha256, files, packages, hardware, dataset, base, seed}
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from . import checkpoints
from .attempt import Attempt
from .chat import turn_end
from .measure import hardware, packages
from .spec import to_dict
from .stopping import Cancelled

MANIFEST = "manifest.json"


def write_output(
    attempt: Attempt, model: Any, tokenizer: Any, values: dict[str, float], step: int, weights: dict[str, Any] | None = None
) -> str:
    """Write output/ beside and rename it; returns the sha256 over the weight files. `weights` when the model is split over ranks."""
    target = attempt.dir.output
    staged = target.with_name(f"{checkpoints.STAGING}output-{os.getpid()}")
    shutil.rmtree(staged, ignore_errors=True)
    _name_base(attempt, model)
    options: dict[str, Any] = {"state_dict": weights} if weights is not None else {}
    if attempt.dir.beginning.is_dir() and hasattr(model, "peft_config"):
        options["path_initial_model_for_weight_conversion"] = str(attempt.dir.beginning)
    model.save_pretrained(staged, **options)
    tokenizer.save_pretrained(staged)
    _generation_config(model, tokenizer, staged)
    digest = weights_digest(staged)
    manifest = _manifest(attempt, staged, values, step, digest) | {"hardware": hardware(str(model.device))}
    (staged / MANIFEST).write_text(json.dumps(manifest, indent=2))
    checkpoints.sync_tree(staged)
    if attempt.stop.requested():  # whoever resumes finds the last checkpoint and writes it again
        shutil.rmtree(staged)
        raise Cancelled(step)
    if target.exists():
        checkpoints.discard(target)
    os.replace(staged, target)
    checkpoints.sync_directory(target.parent)
    return digest


def weights_digest(directory: Path) -> str:
    """One hash over all weight files, by name: equal weights have equal digests."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*.safetensors")):
        digest.update(f"{path.name}:{checkpoints.sha256(path)}\n".encode())
    return digest.hexdigest()


def _name_base(attempt: Attempt, model: Any) -> None:
    """An adapter names its base: the Hub repository where there is one, which means something on other machines too."""
    for settings in getattr(model, "peft_config", {}).values():
        settings.base_model_name_or_path = attempt.spec.model.repo_id or str(attempt.model_path)
        settings.revision = attempt.spec.model.revision


def _generation_config(model: Any, tokenizer: Any, staged: Path) -> None:
    """Tell every later user of the model where an answer ends: at end of text and at the template's turn end."""
    settings = model.generation_config
    ends = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id]
    closing = turn_end(tokenizer)
    ends += [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(closing) if closing else None]
    settings.eos_token_id = sorted({end for end in ends if end is not None}) or None
    settings.pad_token_id = tokenizer.pad_token_id
    settings.save_pretrained(staged)


def _manifest(attempt: Attempt, staged: Path, values: dict[str, float], step: int, digest: str) -> dict[str, Any]:
    spec = attempt.spec
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    return {
        "method": spec.method,
        "step": step,
        "metrics": {key: value for key, value in values.items() if value == value and abs(value) != float("inf")},
        "weights_sha256": digest,
        "files": {path.relative_to(staged).as_posix(): checkpoints.fingerprint(path) for path in files},
        "dataset": {"content_hash": spec.data.content_hash, "kind": spec.data.kind, "split_seed": spec.config.seed},
        "base": {"name": spec.model.name, "repo_id": spec.model.repo_id, "revision": spec.model.revision},
        "seed": spec.config.seed,
        "spec": to_dict(spec),
        "packages": packages(),
    }
