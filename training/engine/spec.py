"""The typed description of a run: what spec.json holds. A spec never holds a secret.

Its options are declared in options.py and checked by checks.py; their names can be imported from here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .checks import SpecError, adapter_of, check_config, choices_of, config_fields, defaults_for, field_type
from .options import METHOD_KINDS, METHODS, Config

__all__ = [
    "METHODS",
    "METHOD_KINDS",
    "Config",
    "DataRef",
    "ModelRef",
    "SpecError",
    "TrainingSpec",
    "adapter_of",
    "check_config",
    "choices_of",
    "config_fields",
    "defaults_for",
    "field_type",
    "from_dict",
    "to_dict",
]


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """The base model: a local directory in Hugging Face layout, and where it came from."""

    path: str
    name: str = ""
    repo_id: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataRef:
    """Normalised rows (see training/engine/data.py), as paths relative to the run directory or absolute."""

    train: str
    eval: str | None = None
    kind: str = "sft"
    content_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """One attempt at one run: everything the engine needs to know, and nothing secret."""

    method: str
    model: ModelRef
    data: DataRef
    config: Config = field(default_factory=Config)
    job: str = ""
    attempt: int = 1
    # A checkpoints directory of an earlier attempt; its newest whole checkpoint is continued from.
    resume_from: str | None = None
    version: int = 1


def to_dict(spec: TrainingSpec) -> dict[str, Any]:
    """The spec as plain JSON values."""
    return dataclasses.asdict(spec)


def from_dict(values: dict[str, Any]) -> TrainingSpec:
    """A TrainingSpec from spec.json's content; SpecError when a part is missing, unknown or out of range."""
    try:
        rest = {key: value for key, value in values.items() if key not in {"model", "data", "config"}}
        return TrainingSpec(
            **rest,
            model=ModelRef(**values["model"]),
            data=DataRef(**values["data"]),
            config=Config(**check_config(values["method"], values.get("config", {}))),
        )
    except (KeyError, TypeError) as error:
        raise SpecError({"spec": [f"Not a complete spec: {error}."]}) from error
