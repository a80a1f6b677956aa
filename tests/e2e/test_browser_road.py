"""The road as a person walks it, in a real browser: register, sample, upload, train, watch, reload, try."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import chromium, shoot
from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(400)]

PASSWORD = "correct horse battery"
ROWS = [
    {"prompt": f"How many legs have {count} {animal}?", "completion": f"They have {count * legs} legs."}
    for count in range(1, 13)
    for animal, legs in (("dogs", 4), ("birds", 2), ("ants", 6))
]


def register(page: Page, stack: Stack) -> None:
    page.goto(stack.url)
    if "/sign-in" in page.url:
        page.goto(f"{stack.url}/register")
    shoot(page, "01-register")
    page.get_by_label("Username").fill("rosa")
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill("rosa@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.locator("form").get_by_role("button").last.click()
    page.wait_for_url(f"{stack.url}/")


def make_sample(page: Page) -> None:
    shoot(page, "02-home-new")
    page.get_by_role("button", name=re.compile("try it with the sample", re.IGNORECASE)).first.click()
    page.wait_for_load_state()
    shoot(page, "03-home-sample")
    expect(page.get_by_role("link", name=re.compile("set up a training", re.IGNORECASE))).to_be_visible(timeout=200_000)


def upload(page: Page, stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "legs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "this is no JSON\n")
    page.goto(f"{stack.url}/datasets/upload")
    shoot(page, "04-upload")
    page.locator("input[type=file]").set_input_files(file)
    page.locator("main form").get_by_role("button", name=re.compile("upload", re.IGNORECASE)).click()
    page.wait_for_url(re.compile(r"/datasets/\d+$"))
    page.goto(f"{stack.url}/datasets/")
    shoot(page, "05-datasets")
    page.get_by_role("link", name=re.compile("legs")).first.click()
    expect(page.get_by_text(re.compile("ready", re.IGNORECASE)).first).to_be_visible(timeout=20_000)
    expect(page.get_by_text(re.compile("line 37", re.IGNORECASE)).first).to_be_visible()
    shoot(page, "06-dataset")


def start_training(page: Page, stack: Stack) -> None:
    page.get_by_role("link", name=re.compile("fine-tune", re.IGNORECASE)).first.click()
    page.wait_for_url(re.compile("/training/new"))
    page.get_by_label(re.compile("^name", re.IGNORECASE)).fill("legs")
    shoot(page, "07-new-job")
    page.locator("[name=num_train_epochs]").fill("4")
    page.locator("[name=max_length]").fill("128")
    page.get_by_role("button", name=re.compile("start training", re.IGNORECASE)).click()
    page.wait_for_url(re.compile(r"/training/\d+$"))


def watch(page: Page) -> None:
    shoot(page, "08-job-preparing")
    expect(page.locator(".u-over").first).to_be_visible(timeout=60_000)
    page.wait_for_function(
        "() => Number(document.querySelector('[data-live=\"progress.step\"]')?.textContent) >= 5", timeout=90_000
    )
    shoot(page, "09-job-training")
    page.reload()
    page.wait_for_function(
        "() => Number(document.querySelector('[data-live=\"progress.step\"]')?.textContent) >= 5", timeout=30_000
    )
    expect(page.get_by_text(re.compile("succeeded", re.IGNORECASE)).first).to_be_visible(timeout=150_000)
    shoot(page, "10-job-succeeded")


def try_it(page: Page) -> None:
    page.get_by_role("link", name="Try the model").first.click()
    page.wait_for_url(re.compile(r"/models/\d+"))
    page.locator("textarea[name=prompt], [name=prompt]").first.fill(ROWS[0]["prompt"])
    page.get_by_role("button", name=re.compile("^(send|try|generate|ask)", re.IGNORECASE)).first.click()
    expect(page.locator(".msg-assistant .msg-text").first).not_to_be_empty(timeout=90_000)
    expect(page.get_by_text(re.compile("tokens/s|tok/s")).first).to_be_visible(timeout=60_000)
    shoot(page, "11-try")


def test_a_newcomer_walks_the_whole_road(stack: Stack, tmp_path: Path) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        register(page, stack)
        make_sample(page)
        upload(page, stack, tmp_path)
        start_training(page, stack)
        watch(page)
        try_it(page)
        for name, path in (("12-home", "/"), ("13-models", "/models/"), ("14-jobs", "/training/"), ("15-settings", "/settings")):
            page.goto(f"{stack.url}{path}")
            shoot(page, name)
        assert problems == []
