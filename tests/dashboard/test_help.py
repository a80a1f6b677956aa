"""The handbook in the product: every page, every link, the search, the examples, and the commands it tells people to type."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from celery.bin.celery import celery
from django.conf import settings
from django.core.management import get_commands
from django.test import Client
from uvicorn.main import main as uvicorn_main

from datasets_app.services.upload_dataset import upload_dataset
from finetune.dashboard.handbook import CHAPTERS, DOCS, EXAMPLES, IMAGES, SLUGS, read_page, search_pages
from tests.handbook import NOT_HERE, PAGES, RUN, blocks, every_line, reason

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


def test_every_picture_is_small_shown_and_sent(page: Client) -> None:
    for name in IMAGES:
        path = DOCS / "images" / name
        assert path.stat().st_size < 150_000, name
        assert any(f"images/{name}" in text.read_text() for text in PAGES), f"{name} is shown nowhere"
        assert page.get(f"/help/images/{name}").content == path.read_bytes()
    html = read_page("reading-curves").html
    assert 'src="/help/images/job.png"' in html and 'width="1440" height="900"' in html


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


def test_names_break_after_their_underscores(page: Client) -> None:
    text = page.get("/help/hyperparameters").content.decode()
    assert "<code>gradient_<wbr>accumulation_<wbr>steps</code>" in text


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

LINES = every_line()


def test_every_command_is_run_or_says_why_it_is_not() -> None:
    """A page of RUN runs in its test; any other line needs a reason; and no reason is for nothing."""
    unknown = [(page, line) for page, line in LINES if not reason(line) and page not in RUN and not is_setting(line)]
    assert unknown == []
    assert {begin for begin in NOT_HERE if not any(line.startswith(begin) for _, line in LINES)} == set()
    assert all((settings.BASE_DIR / test).exists() for test in RUN.values())
    python = {page.name for page in PAGES if blocks(page, ("python",))}
    assert python == {"api.md"}, "tests/e2e/test_docs_run.py runs this page's"


def is_setting(line: str) -> bool:
    return re.match(r"[A-Z_]+=\S*$", line) is not None


@pytest.mark.parametrize("line", sorted({line for _, line in LINES if reason(line)}))
def test_what_cant_be_run_here_is_at_least_understood(line: str) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        done = subprocess.run(
            ["make", "-n", "--no-print-directory", *words[1:]], cwd=settings.BASE_DIR, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    elif words[0] == "celery":
        command = celery.commands[words[3]]
        command.make_parser(click.Context(command)).parse_args(words[4:])
    elif words[0] == "uvicorn":
        uvicorn_main.make_parser(click.Context(uvicorn_main)).parse_args(words[1:])


def test_commands_in_the_text_exist() -> None:
    """`make bench`, `manage.py storage`, `python -m bench.estimates`: what stands between words."""
    for page in PAGES:
        for command in re.findall(r"`(?:\.venv/bin/)?((?:make|manage\.py|python -m|python manage\.py) [^`]+)`", page.read_text()):
            words = command.removeprefix("python ").split()
            if words[0] == "make":
                assert words[1] in MAKE, (page.name, command)
            elif words[0] == "manage.py":
                assert words[1] in get_commands(), (page.name, command)
            else:
                assert find_spec(words[1]), (page.name, command)
