"""The road as a person walks it, on a phone: register, settings, sample, upload, split, train, watch, try, compare, push, look back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import chromium, shoot
from tests.e2e.conftest import Stack
from tests.e2e.gallery import PASSWORD
from tests.loopback_hub import LoopbackHub

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(400)]

TOKEN = "hf_rosa"
ROWS = [
    {"prompt": f"How many legs have {count} {animal}?", "completion": f"They have {count * legs} legs."}
    for count in range(1, 13)
    for animal, legs in (("dogs", 4), ("birds", 2), ("ants", 6))
]
# What the pages moved under the reader's eyes, and what the person clicked, from page to page.
WATCHER = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
addEventListener("click", (event) => event.isTrusted && sessionStorage.setItem("clicks", 1 + clicks()), true);
const clicks = () => Number(sessionStorage.getItem("clicks"));
"""
MOST_CLICKS, MOST_SHIFT = 5, 0.1  # beyond 0.1, browsers' own measure calls a page unsteady


def phone(browser: Browser) -> Page:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    context.add_init_script(WATCHER)
    return context.new_page()


def clicks(page: Page) -> int:
    return page.evaluate("Number(sessionStorage.getItem('clicks'))")


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


def settings(page: Page, stack: Stack) -> None:
    page.locator(".topbar .menu > summary").click()
    page.locator(".topbar .menu-panel").get_by_role("link", name="Settings").click()
    page.get_by_role("navigation", name="Settings").get_by_role("link", name="Connections").click()
    page.get_by_label("Hugging Face token").fill(TOKEN)
    page.get_by_label("Hugging Face token").press("Enter")
    expect(page.get_by_text("rosa-hf")).to_be_visible()
    page.goto(stack.url)


def make_sample(page: Page) -> None:
    shoot(page, "02-home-new")
    page.get_by_role("button", name=re.compile("try it with the sample", re.IGNORECASE)).first.click()
    page.wait_for_load_state()
    shoot(page, "03-home-sample")
    expect(page.get_by_role("link", name=re.compile("set up a training", re.IGNORECASE))).to_be_visible(timeout=200_000)


def upload(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "legs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "this is no JSON\n")
    page.get_by_role("link", name="Upload data").click()
    shoot(page, "04-upload")
    with page.expect_file_chooser() as chooser:
        page.locator("input[type=file]").click()
    chooser.value.set_files(file)
    page.locator("main form").get_by_role("button", name=re.compile("upload", re.IGNORECASE)).click()
    page.wait_for_url(re.compile(r"/datasets/\d+$"))
    expect(page.get_by_text(re.compile("ready", re.IGNORECASE)).first).to_be_visible(timeout=20_000)
    expect(page.get_by_text(re.compile("line 37", re.IGNORECASE)).first).to_be_visible()
    shoot(page, "06-dataset")


def split(page: Page) -> None:
    page.get_by_role("navigation", name="Parts of this dataset").get_by_role("link", name="Split").click()
    page.get_by_role("button", name="Divide").click()
    expect(page.get_by_role("link", name="Parquet").first).to_be_visible()
    page.goto(page.url.removesuffix("/split"))


def start_training(page: Page) -> None:
    page.get_by_role("link", name=re.compile("fine-tune", re.IGNORECASE)).first.click()
    page.wait_for_url(re.compile("/training/new"))
    page.get_by_label(re.compile("^name", re.IGNORECASE)).fill("legs")
    with page.expect_response(re.compile("/training/new")):
        page.locator("[name=template]").select_option("lora-quick")
    expect(page.locator("[name=num_train_epochs]")).to_have_attribute("placeholder", re.compile("^1"))
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
    assert page.evaluate("window.shift") < MOST_SHIFT, "the page moved while its numbers came"
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


def compare(page: Page) -> None:
    """With its base, which is what the page offers."""
    model = page.url
    page.get_by_role("link", name="Side by side").first.click()
    page.locator("[name=prompt]").fill(ROWS[1]["prompt"])
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("button", name="A is best")).to_be_visible(timeout=60_000)
    page.goto(model)


def push(page: Page) -> None:
    page.get_by_label("Repository").fill("rosa-hf/legs")
    page.get_by_role("button", name="Push").click()
    expect(page.get_by_role("link", name="rosa-hf/legs").first).to_be_visible(timeout=60_000)


def look_back(page: Page, stack: Stack) -> None:
    """Home and the analytics know of it."""
    page.get_by_role("link", name="Home").last.click()
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("legs"))).to_contain_text("Succeeded")
    shoot(page, "12-home")
    page.get_by_role("link", name="Analytics").click()
    expect(page.locator(".stats")).to_contain_text("1, and 0 failed")
    for name, path in (("13-models", "/models/"), ("14-jobs", "/training/"), ("15-settings", "/settings")):
        page.goto(f"{stack.url}{path}")
        shoot(page, name)


def test_a_newcomer_walks_the_whole_road(stack: Stack, loopback_hub: LoopbackHub, tmp_path: Path) -> None:
    loopback_hub.add_token(TOKEN, "rosa-hf", "write")
    with chromium() as browser:
        page = phone(browser)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        register(page, stack)
        settings(page, stack)
        make_sample(page)
        before = clicks(page)
        upload(page, tmp_path)
        detour = clicks(page)
        split(page)
        detour = clicks(page) - detour
        start_training(page)
        assert 0 < clicks(page) - before - detour <= MOST_CLICKS, "own data, from the home page to a running job"
        watch(page)
        try_it(page)
        compare(page)
        push(page)
        look_back(page, stack)
        assert problems == []
    assert "adapter_model.safetensors" in loopback_hub.repos["models", "rosa-hf/legs"].files
