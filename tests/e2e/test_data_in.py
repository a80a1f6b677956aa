"""Bringing data in, in a real browser: several files with an outcome each, a mapping tried and applied; and all of it without JavaScript."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.browser import chromium, shoot
from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(300)]

PASSWORD = "correct horse battery"
ODD = [{"q": {"text": f"What is {number} + 1?"}, "answers": [{"text": f"It is {number + 1}."}]} for number in range(30)]


def sign_in(page: Page, stack: Stack, name: str) -> None:
    person = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    httpx.post(f"{stack.url}/api/auth/register", json=person)
    page.goto(f"{stack.url}/sign-in")
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("form").get_by_role("button").last.click()
    page.wait_for_url(f"{stack.url}/")


def files_in(folder: Path) -> list[Path]:
    (folder / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ODD))
    (folder / "school.csv").write_text("question,answer\n" + "".join(f"What is {n} plus 1?,It is {n + 1}.\n" for n in range(30)))
    (folder / "empty.jsonl").write_text("")
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
        sign_in(page, stack, "dora")
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
        assert problems == []


def map_them(page: Page) -> None:
    page.locator("[name=how_prompt]").select_option("path")
    page.locator("[name=map_prompt]").fill("q.text")
    page.locator("[name=how_completion]").select_option("template")
    page.locator("[name=map_completion]").fill("{answers[0].text}")
    expect(page.locator("#preview")).to_contain_text("It is 1.")


def test_without_javascript_the_forms_do_the_same(stack: Stack, tmp_path: Path) -> None:
    with chromium() as browser:
        page = browser.new_context(java_script_enabled=False).new_page()
        sign_in(page, stack, "nora")
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
