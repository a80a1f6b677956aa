"""Trying models in a real browser: a chat streams, a blind comparison is voted on, an evaluation finishes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.e2e.browser import chromium, shoot
from tests.e2e.conftest import Stack
from tests.e2e.gallery import PASSWORD, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(300)]

# A base, a version of it and a dataset of hers, as a training would leave them.
SEED = """
import shutil, sys
from pathlib import Path
from accounts.models import User
from finetune.core import storage
from tests.factories import make_base_model, make_dataset, make_version
user = User.objects.create_user("vera", "vera@example.org", "{password}")
base = make_base_model(user)
version = make_version(user, base=base, name="tuned")
shutil.copytree("{base}", storage.model_dir(base.pk))
shutil.copytree("{adapter}", storage.model_dir(version.pk))
make_dataset(user, rows=5)
print(version.pk)
"""


@pytest.fixture
def version(stack: Stack, tmp_path: Path) -> str:
    """The id of a version in the running installation."""
    from tests.models_app.conftest import make_adapter, make_tiny

    base = make_tiny(tmp_path / "base")
    seed = SEED.format(password=PASSWORD, base=base, adapter=make_adapter(base, tmp_path / "adapter", seed=1))
    environment = {name: value for name, value in os.environ.items() if name not in {"DJANGO_SETTINGS_MODULE", "REDIS_URL"}}
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", seed]
    environment |= {"DATA_DIR": str(stack.data_dir)}
    return subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment, check=True, capture_output=True, text=True
    ).stdout.split()[-1]


def chat(page: Page, stack: Stack, version: str) -> None:
    page.goto(f"{stack.url}/models/{version}")
    page.get_by_text("System prompt and sampling").click()
    page.locator("[name=max_new_tokens]").fill("24")  # the tiny model reads 256 tokens: room for the second turn
    for turn, prompt in enumerate(("Say hello", "And again"), 1):
        page.locator("[name=prompt]").fill(prompt)
        page.locator("[name=prompt]").press("Enter")
        notes = page.locator(".msg-assistant [data-note]", has_text="first token after")
        expect(notes).to_have_count(turn, timeout=60_000)
        expect(page.get_by_role("button", name="Send")).to_be_enabled()
    shoot(page, "20-chat")
    page.reload()
    expect(page.locator(".talk .msg")).to_have_count(4)
    page.get_by_role("button", name="Regenerate").click()
    expect(notes).to_have_count(2, timeout=30_000)


def stop(page: Page) -> None:
    page.get_by_role("button", name="New chat").click()
    page.get_by_text("System prompt and sampling").click()
    page.locator("[name=max_new_tokens]").fill("4000")
    page.locator("[name=stop]").fill("a text that never comes")
    page.locator("[name=prompt]").fill("Tell a long story")
    page.locator("[name=prompt]").press("Enter")
    expect(page.locator(".msg-assistant .msg-text")).not_to_be_empty(timeout=30_000)
    # In one step with the look, since a tiny model may be through at any moment.
    page.locator("[data-stop]").first.evaluate("button => button.checkVisibility() && button.click()")
    expect(page.locator(".msg-assistant [data-note]")).to_have_text(re.compile("stopped|complete|cut"), timeout=30_000)


def compare(page: Page) -> None:
    page.get_by_role("link", name="Side by side").first.click()
    page.locator("[name=prompt]").fill("Say hello")
    page.locator("[name=blind]").check()
    page.get_by_text("System prompt and sampling").click()
    page.locator("[name=temperature]").fill("0")  # two answers that are no accident
    page.get_by_role("button", name="Ask").click()
    vote = page.get_by_role("button", name="B is best")
    expect(vote).to_be_visible(timeout=60_000)
    titles = page.locator(".sides .msg-role")
    expect(titles).to_have_text(["Answer A", "Answer B"])
    shoot(page, "21-side-by-side")
    vote.click()
    expect(titles.first).to_have_text(re.compile("A · (tuned v1|tiny-base)"), timeout=20_000)
    page.get_by_text("Make it a row of a preference dataset").click()
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(re.compile(r"/datasets/\d+$"))


def evaluate(page: Page, stack: Stack, version: str) -> None:
    page.goto(f"{stack.url}/models/{version}")
    page.get_by_role("link", name="Evaluate").click()
    page.get_by_label("Dataset").select_option(label="greetings v1 (train 5)")
    page.locator("[name=rows]").fill("5")
    page.locator("[name=max_new_tokens]").fill("16")
    page.get_by_role("button", name="Evaluate").click()
    page.wait_for_url(re.compile(r"/evaluations/\d+$"))
    expect(page.get_by_text("Perplexity")).to_be_visible(timeout=60_000)
    expect(page.locator(".sample")).to_have_count(5, timeout=20_000)
    shoot(page, "22-evaluation")


def test_models_are_tried_compared_and_evaluated(stack: Stack, version: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        sign_in(page, stack.url, "vera")
        chat(page, stack, version)
        stop(page)
        compare(page)
        evaluate(page, stack, version)
        assert problems == []
