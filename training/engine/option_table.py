"""The options as a table: for the command line (python -m training.engine options) and for docs/hyperparameters.md (--markdown)."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from typing import Any

from .checks import choices_of, config_fields, field_type
from .options import GROUPS, METHOD_DEFAULTS, METHODS

HEAD = """\
# Hyper-parameters

Made by `python -m training.engine options --markdown > docs/hyperparameters.md` from `training/engine/options.py`; don't edit it by hand.
Names are those of transformers, TRL and PEFT. "Open" means: chosen at the start for the model and the device; the log says what.
An option without a list of methods means something to all of them.
"""


def markdown() -> str:
    """docs/hyperparameters.md."""
    parts = [HEAD, "## Methods\n", "| method | what it does | other defaults |", "|---|---|---|"]
    parts += [f"| `{name}` | {words} | {_own_defaults(name)} |" for name, words in METHODS.items()]
    for group, items in _groups():
        parts += [f"\n## {group}\n", "| option | default | values | what it does |", "|---|---|---|---|"]
        parts += [f"| `{item.name}` | {_code(default(item))} | {_values(item)} | {_help(item)} |" for item in items]
    return "\n".join(parts) + "\n"


def plain(width: int = 100) -> str:
    """The same for a terminal."""
    lines = []
    for group, items in _groups():
        lines.append(f"{group}\n")
        for item in items:
            lines.append(f"  {item.name} = {default(item)}   ({_values(item)})".replace("`", ""))
            lines += textwrap.wrap(_help(item).replace("`", ""), width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines.append("")
    return "\n".join(lines)


def default(item: dataclasses.Field) -> str:
    """A field's default in words."""
    value = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
    if value is None:
        return "open"
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value) or "none" if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def _groups() -> Iterator[tuple[str, list[dataclasses.Field]]]:
    for name, label in GROUPS.items():
        items = [item for item in config_fields() if item.metadata["group"] == name]
        if items:
            yield label, items


def _values(item: dataclasses.Field) -> str:
    rules = item.metadata
    if choices := choices_of(item):
        return ", ".join(f"`{choice}`" for choice in choices)
    kind, _ = field_type(item)
    if kind is bool:
        return "true, false"
    if kind is list:
        return f"{rules['min']} to {rules['max']} {'sentences' if rules['lines'] else 'names'}"
    if kind is str:
        return "text"
    return _range(rules)


def _range(rules: Any) -> str:
    low = f"> {_number(rules['above'])}" if rules["above"] is not None else f"{_number(rules['min'])}"
    return f"{low} to {_number(rules['max'])}" if rules["max"] is not None else f"{low} and more"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _help(item: dataclasses.Field) -> str:
    methods = item.metadata["methods"]
    return item.metadata["help"] + (f" *({', '.join(methods)})*" if methods else "")


def _own_defaults(method: str) -> str:
    return ", ".join(f"`{name}` {value}" for name, value in METHOD_DEFAULTS[method].items()) or "–"


def _code(text: str) -> str:
    return text if text in ("open", "none") else f"`{text}`"
