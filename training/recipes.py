"""A template as a file: ours in YAML or JSON, and the training files of LLaMA-Factory and Axolotl.

    name: careful            # ours: what GET /api/training/templates/{id} answers, too
    method: lora
    config: {learning_rate: 0.0001}

What another program's file leaves out has that program's default, so that a run means the same here as there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import yaml

from finetune.core.errors import Invalid, invalid_field
from training import axolotl, llamafactory
from training.engine.spec import METHODS
from training.spec_fields import checked_config

LARGEST = 1 << 20  # bytes
PROGRAMS = (llamafactory, axolotl)


@dataclass(frozen=True)
class Recipe:
    """What a file holds. `program` wrote it, if not we; `left_out` names what it says and a template can't."""

    name: str
    method: str
    config: dict[str, Any]
    description: str = ""
    program: str = ""
    left_out: list[str] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """Without aliases: a short file could otherwise stand for endless text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(problem="aliases are not read", problem_mark=self.peek_event().start_mark)
        return super().compose_node(parent, index)


def write_recipe(*, name: str, description: str, method: str, config: dict[str, Any]) -> str:
    """YAML that read_recipe takes."""
    values = {"name": name, "description": description, "method": method, "config": config}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def read_recipe(content: bytes) -> Recipe:
    """What the file says; our own is not checked yet, of another program's only what is possible here is kept.

    Invalid (`file`) for what is no YAML or JSON, none of the three kinds, or of a method that isn't here.
    """
    values = _parsed(content)
    if set(values) >= {"method", "config"}:
        return _ours(values)
    for program in PROGRAMS:
        if program.wrote(values):
            return _theirs(program, values)
    words = (
        "This is no template. Give a file that a template was downloaded as, or the YAML of a LLaMA-Factory or Axolotl training."
    )
    raise invalid_field("file", words)


def _parsed(content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST:
        raise invalid_field("file", "A template is at most 1 MB.")
    try:
        values = yaml.load(content.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506 (it is a SafeLoader)
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" Look at line {line + 1}."
        raise invalid_field("file", f"The file is neither YAML nor JSON.{where}") from None
    if not _can_be_stored(values):
        raise invalid_field("file", "The file holds a NUL or half a character (a lone surrogate). Remove it.")
    return values if isinstance(values, dict) else {}


def _can_be_stored(values: Any) -> bool:
    """Whether a database takes all texts in it; escapes in YAML and JSON can say characters that it doesn't."""
    text = json.dumps(values, default=str, skipkeys=True, ensure_ascii=False)
    return "\\u0000" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _ours(values: dict[str, Any]) -> Recipe:
    texts = {name: values.get(name) or "" for name in ("name", "method", "description")}
    if wrong := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise invalid_field("file", f"{wrong[0]}: must be a text.")
    if not isinstance(values["config"], dict):
        raise invalid_field("file", "config: must hold options and their values.")
    config = {str(name): value for name, value in values["config"].items()}
    return Recipe(texts["name"], texts["method"], config, texts["description"])


def _theirs(program: Any, values: dict[str, Any]) -> Recipe:
    values = {str(name): value for name, value in values.items() if value not in (None, "")}
    method = program.method_of(values)
    if method not in METHODS:
        raise invalid_field("file", f"{program.NAME}: {method}")
    found = program.config_of(values, method)
    config = _possible(method, {name: value for name, (_, value) in found.items()})
    taken = {key for name, (key, _) in found.items() if name in config} | program.understood(values)
    left = sorted(key for key, value in values.items() if key not in taken and value is not False)
    return Recipe("", method, config, program=program.NAME, left_out=left)


def _possible(method: str, config: dict[str, Any]) -> dict[str, Any]:
    """Without the values that our own checks refuse."""
    while True:
        try:
            checked_config(method, config)
        except Invalid as error:
            kept = {name: value for name, value in config.items() if name not in error.fields}
            if len(kept) == len(config):
                raise
            config = kept
        else:
            return config
