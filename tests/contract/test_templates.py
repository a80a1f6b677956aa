"""Templates compile, say their title, keep to the content security policy, and have the fragments the views name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

TEMPLATES: Path = settings.BASE_DIR / "templates"
NAMES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))
PAGES = [name for name in NAMES if "{% extends" in (TEMPLATES / name).read_text()]
PACKAGES = ("accounts", "datasets_app", "models_app", "training", "finetune")


@pytest.mark.parametrize("name", NAMES)
def test_it_compiles(name: str) -> None:
    get_template(name)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_title(name: str) -> None:
    assert "{% block title %}" in (TEMPLATES / name).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(name: str) -> None:
    text = (TEMPLATES / name).read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text), "inline script"
    assert not re.search(r"\sstyle=", text), "inline style"
    assert not re.search(r"\son[a-z]+=", text), "inline handler"
    assert not re.search(r"""(?:src|srcset)=["']https?://""", text), "loads from another host"


@pytest.mark.parametrize("name", NAMES)
def test_every_form_that_posts_is_safe_from_forgery(name: str) -> None:
    text = (TEMPLATES / name).read_text()
    for form in re.findall(r"<form\b.*?</form>", text, re.DOTALL):
        if re.search(r'method="post"', form, re.IGNORECASE):
            assert "{% csrf_token %}" in form


def test_every_fragment_a_view_renders_exists() -> None:
    for package in PACKAGES:
        for path in (settings.BASE_DIR / package).rglob("*.py"):
            for template, fragment in re.findall(r'"([\w/]+\.html)"[^)]*?fragment="(\w+)"', path.read_text(), re.DOTALL):
                assert f"partialdef {fragment}" in (TEMPLATES / template).read_text(), f"{path.name}: {template}#{fragment}"
