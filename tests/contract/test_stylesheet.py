"""The stylesheets hold no rule and no token that nothing uses."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

BASE: Path = settings.BASE_DIR
# The product's one stylesheet, and the small one of the API's reference, whose pages are a library's.
SHEETS = "\n".join(path.read_text() for path in (BASE / "static").glob("*.css"))
CSS = re.sub(r"/\*.*?\*/|url\([^)]*\)", "", SHEETS, flags=re.DOTALL)
RULES = set(re.findall(r"\.([a-zA-Z][\w-]*)", "".join(re.findall(r"[^{}]*\{", CSS))))
PAGES = "\n".join(path.read_text() for path in (BASE / "templates").rglob("*.html"))
SCRIPTS = "\n".join(path.read_text() for path in (BASE / "static").glob("*.js"))
PACKAGES = ("accounts", "datasets_app", "models_app", "training", "finetune")
PYTHON = "\n".join(path.read_text() for package in PACKAGES for path in (BASE / package).rglob("*.py"))
LIBRARIES = ("htmx-", "u-")  # htmx and uPlot set these themselves


def in_templates() -> set[str]:
    """The words of every class attribute; `toast-{{ level }}` stands as `toast-`."""
    return {word for value in re.findall(r'\bclass="((?:\{[{%].*?[%}]\}|[^"{])*)"', PAGES) for word in _words(value)}


def _words(value: str) -> list[str]:
    without_ends = re.sub(r"-(?:\{% if.*?\{% endif %\}|\{\{.*?\}\})", "- ", value)
    return re.sub(r"\{[{%].*?[%}]\}", " ", without_ends).split()


def in_code() -> set[str]:
    """The words of every string in scripts and in what Python writes into pages."""
    strings = re.findall(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`", SCRIPTS + PYTHON)
    return {word for found in strings for text in found for word in re.split(r"[\s.,:>\[\]$+~()\"=]+", text)}


def test_every_rule_is_used_somewhere() -> None:
    used = in_templates() | in_code()
    beginnings = tuple(word for word in used if word.endswith("-") and len(word) > 2)
    unused = {name for name in RULES - used if not name.startswith((*LIBRARIES, *beginnings))}
    assert unused == set()


def test_every_token_is_used() -> None:
    tokens = set(re.findall(r"(--[\w-]+):", CSS))
    assert {name for name in tokens if f"var({name})" not in CSS} == set()
