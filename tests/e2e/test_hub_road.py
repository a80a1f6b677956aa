"""From the Hub and back in a real browser: search, download, fine-tune twice, compare, export, push."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from finetune.demo.client import Client
from tests.e2e.browser import chromium, shoot
from tests.e2e.conftest import Stack
from tests.e2e.gallery import PASSWORD, sign_in
from tests.loopback_hub import LoopbackHub
from tests.models_app.conftest import add_model
from tests.models_app.tiny_models import make_model

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(300)]

TOKEN = "hf_walker"
SHORT = {"max_steps": 4, "logging_steps": 1, "save_steps": 4, "max_length": 64, "per_device_train_batch_size": 2}
ROWS = "".join(json.dumps({"prompt": f"How many legs have {n} dogs?", "completion": f"{4 * n} legs."}) + "\n" for n in range(1, 13))


@pytest.fixture
def walker(stack: Stack, loopback_hub: LoopbackHub, tmp_path: Path) -> Client:
    """A person with a Hub token that may write, and a model on the Hub to find."""
    loopback_hub.add_token(TOKEN, "mona-hf", "write")
    add_model(loopback_hub, "org/tiny-walker", make_model("llama", tmp_path / "model"))
    client = Client(stack.url, "mona", PASSWORD)
    client.call("POST", "/api/auth/hf-token", json={"token": TOKEN})
    return client


def find_and_download(page: Page, url: str) -> int:
    page.goto(f"{url}/models/hub")
    page.get_by_label("Search the Hub").fill("walker")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="org/tiny-walker").first.click()
    shoot(page, "20-hub-model")
    page.get_by_role("button", name=re.compile("download", re.IGNORECASE)).first.click()
    page.wait_for_url(re.compile(r"/models/\d+$"))
    expect(page.get_by_text("Ready", exact=True).first).to_be_visible(timeout=60_000)
    return int(page.url.rpartition("/")[2])


def train_twice(client: Client, model: int) -> int:
    """Two runs of one name, so two versions of one family; the newest one's id."""
    data = client.call("POST", "/api/datasets/upload", files={"file": ("legs.jsonl", ROWS)})["id"]
    client.wait(f"/api/datasets/{data}", {"ready"}, seconds=60)
    fixed = {"name": "legs", "model_id": model, "dataset_id": data, "method": "lora", "start": True}
    rates = (1e-3, 2e-3)
    jobs = [client.call("POST", "/api/training", json=fixed | {"config": SHORT | {"learning_rate": rate}})["id"] for rate in rates]
    done = [client.wait(f"/api/training/{job}", {"succeeded", "failed"}, seconds=150) for job in jobs]
    assert [job["status"] for job in done] == ["succeeded"] * 2, done
    return done[-1]["output_model_id"]


def compare(page: Page) -> None:
    page.get_by_role("link", name="History and comparison").click()
    page.get_by_role("button", name="Compare the ticked ones").click()
    page.wait_for_url(re.compile("/models/compare"))
    expect(page.get_by_role("rowheader", name=re.compile("Learning rate"))).to_be_visible()
    expect(page.get_by_text("Both learned from the same rows.")).to_be_visible()
    expect(page.locator(".u-over").first).to_be_visible(timeout=10_000)
    shoot(page, "22-compare-versions")


def export(page: Page, url: str, model: int, target: Path) -> None:
    page.goto(f"{url}/models/{model}/exports")
    page.get_by_label("Form").select_option(label="Adapter only")
    page.get_by_role("button", name="Export").click()
    link = page.get_by_role("link", name=re.compile("Download"))
    expect(link.first).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        link.first.click()
    download.value.save_as(target)
    assert b"adapter_model.safetensors" in target.read_bytes()


def push(page: Page, url: str, model: int) -> None:
    page.goto(f"{url}/models/{model}")
    page.get_by_label("Repository").fill("mona-hf/legs")
    page.get_by_role("button", name="Push").click()
    expect(page.get_by_role("link", name="mona-hf/legs").first).to_be_visible(timeout=60_000)
    shoot(page, "23-pushed")
    page.goto(f"{url}/models/{model}/lineage")
    expect(page.get_by_role("link", name="mona-hf/legs")).to_be_visible()


def _matters(message: ConsoleMessage) -> bool:
    """An error, other than htmx telling of a poll that leaving the page cut off."""
    return message.type == "error" and not message.text.startswith(("htmx:afterRequest", "htmx:sendAbort", "htmx:sendError"))


def test_from_the_hub_and_back(stack: Stack, walker: Client, loopback_hub: LoopbackHub, tmp_path: Path) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if _matters(message) else None)
        sign_in(page, stack.url, "mona")
        base = find_and_download(page, stack.url)
        version = train_twice(walker, base)
        page.goto(f"{stack.url}/models/{version}")
        compare(page)
        export(page, stack.url, version, tmp_path / "export.tar")
        push(page, stack.url, version)
        assert problems == []
    repo = loopback_hub.repos["models", "mona-hf/legs"]
    assert repo.private and "adapter_model.safetensors" in repo.files and b"org/tiny-walker" in repo.files["README.md"]
    assert httpx.get(f"{stack.url}/models/{version}/lineage").status_code == 302  # nobody else sees it
