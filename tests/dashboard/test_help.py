"""The handbook in the product: every page, every link, the search, the examples, and the commands it tells people to type."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.test import Client

from datasets_app.services.upload_dataset import upload_dataset
from finetune.cli.main import parser
from finetune.dashboard.handbook import CHAPTERS, DOCS, EXAMPLES, SLUGS, read_page, search_pages

FENCES = [
    (path.name, language, body)
    for path in sorted([*DOCS.glob("*.md"), settings.BASE_DIR / "README.md"])
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
]
MAKE = set(re.findall(r"^([a-z-]+):", (settings.BASE_DIR / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("slug", SLUGS)
def test_every_page_is_shown_and_its_links_lead_somewhere(slug: str, page: Client) -> None:
    text = page.get(f"/help/{slug}")
    assert text.status_code == 200
    html = read_page(slug).html
    assert "<h1" in html and "<script" not in html
    for href in re.findall(r'href="([^"]+)"', html):
        if href.startswith("/help/") and not href.startswith("/help/examples"):
            target, _, anchor = href.removeprefix("/help/").partition("#")
            assert target in SLUGS, href
            assert not anchor or f'id="{anchor}"' in read_page(target).html, href


def test_the_files_link_to_files_that_are_there() -> None:
    for path in DOCS.glob("*.md"):
        for href in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
            assert ":" in href or (DOCS / href).exists(), (path.name, href)


def test_the_contents_name_every_page(page: Client) -> None:
    text = page.get("/help").content.decode()
    for chapter, slugs in CHAPTERS.items():
        assert chapter in text
        assert all(f'href="/help/{slug}"' in text for slug in slugs)


def test_search_finds_sections_by_all_words(page: Client) -> None:
    text = page.get("/help?q=learning+rate").content.decode()
    assert "<mark>" in text
    assert search_pages("zebra unicorn") == []
    assert all(hit.page.slug != "glossary" or "beta" in hit.section.text.lower() for hit in search_pages("beta"))
    assert page.get("/help?q=%3Cscript%3E").content.decode().count("<script>") == 0


def test_what_markdown_says_in_html_stays_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "evil.md").write_text("# Hi\n\n<script>x()</script> [a](javascript:x) <b onclick=x>b</b>\n")
    monkeypatch.setattr("finetune.dashboard.handbook.DOCS", tmp_path)
    html = read_page("evil").html
    assert "<script" not in html and "onclick" not in html.replace("&lt;b onclick", "") and 'href="javascript' not in html


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_can_be_read(name: str, page: Client, alice, django_capture_on_commit_callbacks) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    answer = page.get(f"/help/examples/{name}")
    assert answer.status_code == 200
    with django_capture_on_commit_callbacks(execute=False):
        dataset = upload_dataset(owner=alice, file=SimpleUploadedFile(name, answer.content))
    from datasets_app.services.validate_dataset import ingest

    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.errors) == ("ready", 0), dataset.report


# --- What people are told to type ---------------------------------------------------------------------------


def lines_of(language: str) -> list[tuple[str, str]]:
    found = []
    for name, kind, body in FENCES:
        if kind == language:
            found += [(name, line) for line in body.replace("\\\n", " ").splitlines() if line.strip()]
    return found


@pytest.mark.parametrize(("name", "line"), [found for kind in ("bash", "sh", "shell", "console") for found in lines_of(kind)])
def test_its_commands_exist(name: str, line: str) -> None:
    """The command and each of its options; what they do is tested where they are."""
    words = shlex.split(line.removeprefix("$ "), comments=True)
    if "finetune" in words[:3] and "-m" in words[:3]:
        parser().parse_args(words[3:])
    elif words and words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        assert set(targets) <= MAKE, line
    elif "manage.py" in line:
        command = words[words.index(next(word for word in words if word.endswith("manage.py"))) + 1]
        assert command in get_commands(), line
        known = load_command_class(get_commands()[command], command).create_parser("manage.py", command)._option_string_actions
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= set(known), line


@pytest.mark.parametrize(("name", "body"), [(name, body) for name, kind, body in FENCES if kind == "python"])
def test_its_python_is_python(name: str, body: str) -> None:
    ast.parse(body)
