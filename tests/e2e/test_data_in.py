"""Bringing data in, in a real browser: five files at once, one of them bad; one is mapped, one fixed, one divided, two are combined; and
what brings data in without JavaScript."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from finetune.demo.client import Client
from tests.e2e.browser import chromium, shoot
from tests.e2e.conftest import Stack
from tests.e2e.gallery import PASSWORD, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(300)]

ODD = [{"q": {"text": f"What is {number} + 1?"}, "answers": [{"text": f"It is {number + 1}."}]} for number in range(30)]


def files_in(folder: Path) -> list[Path]:
    (folder / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ODD))
    (folder / "school.csv").write_text("question,answer\n" + "".join(f"What is {n} plus 1?,It is {n + 1}.\n" for n in range(30)))
    (folder / "empty.jsonl").write_text("")
    (folder / "marked.jsonl").write_text(
        "".join(json.dumps({"prompt": f"q{n}", "completion": f"a{n}<|im_end|>"}) + "\n" for n in range(60))
    )
    (folder / "facts.json").write_text(
        json.dumps([{"instruction": f"Fact {n}?", "input": "", "output": f"It is {n}."} for n in range(40)], indent=1)
    )
    return sorted(folder.iterdir())


def accessible(page: Page) -> None:
    page.wait_for_timeout(400)  # colours that fade are judged where they end
    found = Axe().run(page).response["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []


def test_files_are_dropped_and_mapped(stack: Stack, tmp_path: Path) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        Client(stack.url, "dora", PASSWORD)
        sign_in(page, stack.url, "dora")
        page.goto(f"{stack.url}/datasets/upload")
        page.locator("input[type=file]").set_input_files(files_in(tmp_path))
        page.get_by_role("button", name="Upload").click()
        expect(page.locator(".upload-row", has_text="empty.jsonl")).to_contain_text("0 bytes")
        expect(page.locator(".upload-row", has_text="school.csv")).to_contain_text("30 of 30 rows usable", timeout=60_000)
        expect(page.locator(".upload-row", has_text="odd.jsonl")).to_contain_text("no format we know", timeout=60_000)
        shoot(page, "20-outcomes")
        accessible(page)
        page.locator(".upload-row", has_text="odd.jsonl").get_by_role("link", name="Map the columns").click()
        map_them(page)
        shoot(page, "21-mapping")
        accessible(page)
        page.get_by_role("button", name="Read the file with this").click()
        page.wait_for_url(re.compile(r"/datasets/\d+$"))
        expect(page.get_by_role("link", name="Fine-tune on this")).to_be_visible(timeout=60_000)
        fix_one(page, stack)
        split_one(page, stack)
        combine_two(page, stack)
        assert problems == []


def open_dataset(page: Page, stack: Stack, name: str) -> None:
    page.goto(f"{stack.url}/datasets/")
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(re.compile(r"/datasets/\d+$"))


def fix_one(page: Page, stack: Stack) -> None:
    """All sixty rows with the problem can be paged through; fixed, the next version has none."""
    open_dataset(page, stack, "marked")
    page.locator("select[name=rule]").select_option("special_tokens")
    expect(page.locator("#rows .chat")).to_have_count(10)
    page.goto(f"{page.url.partition('?')[0]}?rule=special_tokens&page=6")
    expect(page.locator("#rows")).to_contain_text("Line 60")
    page.get_by_role("navigation", name="Parts of this dataset").get_by_role("link", name="Problems").click()
    shoot(page, "22-problems")
    page.get_by_role("button", name="Make a fixed version").click()
    page.wait_for_url(re.compile(r"/datasets/\d+$"))
    expect(page.get_by_role("link", name="Fine-tune on this")).to_be_visible(timeout=60_000)
    expect(page.locator("#rows")).not_to_contain_text("im_end")


def split_one(page: Page, stack: Stack) -> None:
    open_dataset(page, stack, "facts")
    page.get_by_role("navigation", name="Parts of this dataset").get_by_role("link", name="Split").click()
    page.get_by_role("button", name="Divide").click()
    expect(page.locator("#main")).to_contain_text("36 · 90 %")
    expect(page.get_by_role("link", name="Parquet")).to_have_count(2)


def combine_two(page: Page, stack: Stack) -> None:
    """The counts follow what is chosen, before anything is made."""
    page.goto(f"{stack.url}/datasets/mix")
    page.get_by_role("row", name="facts").get_by_role("checkbox").check()
    page.get_by_role("row", name="school").get_by_role("checkbox").check()
    page.get_by_label("Weight of facts").fill("3")
    expect(page.locator("#preview")).to_contain_text("40 of 40")
    expect(page.locator("#preview")).to_contain_text("13 of 30")
    shoot(page, "23-mix")
    accessible(page)
    page.get_by_label("Name of the mixture").fill("both")
    page.get_by_role("button", name="Make the mixture").click()
    page.wait_for_url(re.compile(r"/datasets/\d+$"))
    expect(page.get_by_role("link", name="Fine-tune on this")).to_be_visible(timeout=60_000)
    page.goto(f"{stack.url}/datasets/gates")
    page.get_by_label("Problem").select_option("duplicate")
    page.get_by_role("button", name="Add gate").click()
    expect(page.locator("#main")).to_contain_text("Duplicate rows: at most 0 %")
    shoot(page, "24-gates")
    accessible(page)


def map_them(page: Page) -> None:
    page.locator("[name=how_prompt]").select_option("path")
    page.locator("[name=map_prompt]").fill("q.text")
    page.locator("[name=how_completion]").select_option("template")
    page.locator("[name=map_completion]").fill("{answers[0].text}")
    expect(page.locator("#preview")).to_contain_text("It is 1.")


def test_without_javascript_the_forms_do_the_same(stack: Stack, tmp_path: Path) -> None:
    with chromium() as browser:
        page = browser.new_context(java_script_enabled=False).new_page()
        register(page, stack)
        train_and_cancel(page)
        page.goto(f"{stack.url}/datasets/upload")
        page.locator("input[type=file]").set_input_files(files_in(tmp_path))
        page.get_by_role("button", name="Upload").click()
        expect(page.locator("#uploads")).to_contain_text("The file is empty (0 bytes).")
        page.locator("#uploads").get_by_role("link", name="odd.jsonl").click()
        page.goto(f"{page.url}/mapping")
        page.locator("[name=how_prompt]").select_option("path")
        page.locator("[name=map_prompt]").fill("q.text")
        page.locator("[name=how_completion]").select_option("path")
        page.locator("[name=map_completion]").fill("answers[0].text")
        page.get_by_role("button", name="Show the rows").click()
        expect(page.locator("#preview")).to_contain_text("It is 1.")


def register(page: Page, stack: Stack) -> None:
    """A new account, out, and in again."""
    page.goto(f"{stack.url}/register")
    for name, value in (("username", "nora"), ("email", "nora@example.org"), ("password", PASSWORD)):
        page.locator(f"[name={name}]").fill(value)
    page.locator("form").get_by_role("button").last.click()
    page.wait_for_url(f"{stack.url}/")
    page.locator(".sidebar .menu > summary").click()
    page.locator(".sidebar").get_by_role("button", name="Sign out").click()
    sign_in(page, stack.url, "nora")


def train_and_cancel(page: Page) -> None:
    """Three clicks from a new account's home page to a running job; the fourth ends it."""
    page.get_by_role("button", name="Try it with the sample").click()
    reload_until(page, page.get_by_role("link", name="Set up a training"))
    page.get_by_role("link", name="Set up a training").click()
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"/training/\d+$"))
    reload_until(page, page.locator(".badge-run"))
    page.get_by_role("button", name="Cancel training").click()
    reload_until(page, page.get_by_role("button", name="Resume"))
    expect(page.locator("#job-head")).to_contain_text("Cancelled")


def reload_until(page: Page, wanted: Locator, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not wanted.first.is_visible():
        assert time.monotonic() < deadline, f"{page.url} never showed it"
        page.wait_for_timeout(500)
        page.reload()
