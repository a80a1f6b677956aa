"""The table of rules: whole, and the source of its page in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datasets_app.formats import rules
from datasets_app.formats.problems import Problem

ROOT = Path(__file__).parents[3]


def test_the_docs_are_generated_from_the_table() -> None:
    assert (ROOT / "docs" / "data-rules.md").read_text() == rules.as_markdown(), (
        "python -m datasets_app.formats.rules > docs/data-rules.md"
    )


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=rules.RULES.keys())
def test_every_rule_is_whole(rule: rules.Rule) -> None:
    assert rule.level in rules.LEVELS
    assert rule.severity in rules.SEVERITIES
    assert rule.title[0].isupper() or not rule.title[0].isalpha()
    assert rule.why.endswith((".", "?"))


def test_every_rule_the_code_names_is_in_the_table() -> None:
    named = re.compile(r"(?:Problem|RowError|warn|note|self\._note)\(\s*\"([a-z_0-9]+)\"")
    found = {name for path in (ROOT / "datasets_app").rglob("*.py") for name in named.findall(path.read_text())}
    assert len(found) > 20
    assert found <= set(rules.RULES)


def test_a_rule_nobody_knows_is_an_error() -> None:
    assert Problem("brand_new", "words").severity == "error"
    assert rules.title_of("brand_new") == "Brand new"
