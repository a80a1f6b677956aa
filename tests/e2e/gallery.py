"""Every page of the product with something on it: for screenshots, and for the accessibility test.

    python -m tests.e2e.gallery FOLDER        make screenshots FOLDER=…
    python -m tests.e2e.gallery --handbook    make screenshots HANDBOOK=1: the few that README and docs/ show, into docs/images

starts an installation of its own, puts sample data into it and photographs each page at three widths, light and dark.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from finetune.demo.client import Client
from finetune.demo.stack import running_stack
from tests.e2e.browser import chromium

PASSWORD = "correct horse battery"
WIDTHS = ((1440, 900), (768, 1024), (390, 844))
SHORT = {"max_steps": 30, "logging_steps": 1, "eval_steps": 10, "save_steps": 10, "max_length": 128, "learning_rate": 5e-3}
PAIRS = [
    {"prompt": f"How many legs have {n} dogs?", "chosen": f"They have {4 * n} legs.", "rejected": f"They have {n} legs."}
    for n in range(1, 25)
]


@dataclass(frozen=True)
class Filled:
    """What `fill` made: ids that stand in the pages' addresses."""

    base: int
    tuned: int
    dataset: int
    pairs: int
    done: int
    draft: int
    newer: int
    evaluation: int
    other_evaluation: int
    comparison: int


def fill(client: Client) -> Filled:
    """A base, two versions made of it and what a split says of them, two datasets, two jobs that succeeded and a draft."""
    sample = client.call("POST", "/api/training/sample")
    base, dataset = sample["model_id"], sample["dataset_id"]
    client.wait(f"/api/models/{base}", {"ready"}, seconds=200)
    client.wait(f"/api/datasets/{dataset}", {"ready"}, seconds=60)
    content = "".join(json.dumps(row) + "\n" for row in PAIRS) + "this is no JSON\n"
    pairs = client.call("POST", "/api/datasets/upload", files={"file": ("legs.jsonl", content)})["id"]
    client.wait(f"/api/datasets/{pairs}", {"ready", "invalid"}, seconds=60)
    done = _train(client, "bicycles", base, dataset, "lora", SHORT | {"sample_prompts": ["Do you repair tyres?"]})
    client.call("POST", f"/api/training/{done}/start")
    draft = _train(client, "legs by preference", base, pairs, "dpo", {"max_steps": 4, "max_length": 128})
    again = _train(client, "bicycles", base, dataset, "lora", SHORT | {"max_steps": 6, "learning_rate": 1e-3})
    client.call("POST", f"/api/training/{again}/start")
    tuned, newer = (
        client.wait(f"/api/training/{job}", {"succeeded", "failed"}, seconds=200)["output_model_id"] for job in (done, again)
    )
    evaluation, other = (_evaluate(client, model, dataset) for model in (tuned, newer))
    asked = {"prompt": "Do you repair tyres?", "sources": [f"model-{tuned}", f"model-{base}"], "max_new_tokens": 24, "blind": True}
    comparison = client.call("POST", "/api/models/comparisons", json=asked)["id"]
    return Filled(
        base=base, tuned=tuned, dataset=dataset, pairs=pairs, done=done, draft=draft, newer=newer,
        evaluation=evaluation, other_evaluation=other, comparison=comparison,
    )  # fmt: skip


def _train(client: Client, name: str, model: int, dataset: int, method: str, config: dict[str, Any]) -> int:
    body = {"name": name, "model_id": model, "dataset_id": dataset, "method": method, "config": config}
    return client.call("POST", "/api/training", json=body)["id"]


def _evaluate(client: Client, model: int, dataset: int) -> int:
    made = client.call("POST", f"/api/models/{model}/evaluations", json={"dataset": dataset, "rows": 4, "max_new_tokens": 24})["id"]
    return client.wait(f"/api/models/evaluations/{made}", {"done", "failed"}, seconds=120)["id"]


def addresses(filled: Filled) -> dict[str, str]:
    """Route name (with a word for a second look) → path. tests/contract/test_gallery.py checks that no page is missing."""
    return {
        "home": "/",
        "analytics": "/analytics",
        "help": "/help",
        "help-methods": "/help/methods",
        "help-hyperparameters": "/help/hyperparameters",
        "datasets": "/datasets/",
        "dataset-upload": "/datasets/upload",
        "dataset": f"/datasets/{filled.dataset}",
        "dataset-mix": "/datasets/mix",
        "own-gates": "/datasets/gates",
        "dataset-problems": f"/datasets/{filled.pairs}/problems",
        "dataset-statistics": f"/datasets/{filled.dataset}/statistics",
        "dataset-split": f"/datasets/{filled.dataset}/split",
        "dataset-versions": f"/datasets/{filled.dataset}/versions",
        "dataset-mapping": f"/datasets/{filled.pairs}/mapping",
        "models": "/models/",
        "hub": "/models/hub",
        "model-storage": "/models/storage",
        "model": f"/models/{filled.tuned}",
        "model-versions": f"/models/{filled.tuned}/versions",
        "models-compare": f"/models/compare?ids={filled.tuned},{filled.newer}",
        "model-lineage": f"/models/{filled.tuned}/lineage",
        "model-evaluate": f"/models/{filled.tuned}/evaluate",
        "evaluation": f"/models/evaluations/{filled.evaluation}",
        "side-by-side": f"/models/side-by-side?source=model-{filled.tuned}&source=model-{filled.base}",
        "comparisons": "/models/comparisons",
        "comparison": f"/models/comparisons/{filled.comparison}",
        "evaluation-compare": f"/models/evaluations/{filled.evaluation}/compare?with={filled.other_evaluation}",
        "model-exports": f"/models/{filled.tuned}/exports",
        "model-ollama": f"/models/{filled.tuned}/ollama",
        "ollama": "/models/ollama",
        "jobs": "/training/",
        "job-new": f"/training/new?dataset={filled.dataset}&model={filled.base}",
        "job": f"/training/{filled.done}",
        "job draft": f"/training/{filled.draft}",
        "checkpoint-try": f"/training/{filled.done}/checkpoints/30/try",
        "jobs-compare": f"/training/compare?ids={filled.done}&ids={filled.draft}",
        "templates": "/training/templates/",
        "template": "/training/templates/lora-balanced",
        "queue": "/training/queue",
        "devices": "/training/devices",
        "cloud": "/training/cloud",
        "settings": "/settings",
        "settings-connections": "/settings/connections",
        "settings-new-jobs": "/settings/new-jobs",
        "settings-data": "/settings/data",
        "settings-sessions": "/settings/sessions",
        "settings-api-keys": "/settings/api-keys",
        "settings-notifications": "/settings/notifications",
        "account-delete": "/settings/delete-account",
        "notifications": "/notifications",
        "sign-in": "/sign-in",
        "register": "/register",
    }


OUTSIDE = ("sign-in", "register")  # what only somebody sees who isn't signed in

# File in docs/images → name in `addresses`, and what has to be there before it is photographed.
HANDBOOK = {
    "problems": ("dataset-problems", "h1"),
    "new-training": ("job-new", "h1"),
    "job": ("job", ".u-over"),
}


def sign_in(page: Page, url: str, name: str) -> None:
    """Through the page, as a person."""
    page.goto(f"{url}/sign-in")
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("form").get_by_role("button").last.click()
    page.wait_for_url(f"{url}/")


def photograph_handbook() -> None:
    """The pictures of README and docs/: one width, light, what is seen without scrolling."""
    folder = Path(__file__).parents[2] / "docs" / "images"
    with running_stack() as stack, chromium() as browser:
        filled = fill(Client(stack.url, "ada", PASSWORD))
        page = browser.new_page(viewport={"width": 1200, "height": 760}, reduced_motion="reduce")
        sign_in(page, stack.url, "ada")
        for name, (which, there) in HANDBOOK.items():
            page.goto(stack.url + addresses(filled)[which])
            page.locator(there).first.wait_for()
            page.locator(there).first.scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            page.screenshot(path=folder / f"{name}.png")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with running_stack() as stack, chromium() as browser:
        filled = fill(Client(stack.url, "gallery", PASSWORD))
        page = browser.new_page()
        for name in OUTSIDE:
            _shoot(page, stack.url + addresses(filled)[name], folder / name)
        sign_in(page, stack.url, "gallery")
        for name, path in addresses(filled).items():
            if name not in OUTSIDE:
                _shoot(page, stack.url + path, folder / name.replace(" ", "-"))


def _shoot(page: Page, address: str, file: Path) -> None:
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(address)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(350)
            page.screenshot(path=f"{file}-{width}-{scheme}.png", full_page=True)
    print(address)


if __name__ == "__main__":
    photograph_handbook() if sys.argv[1] == "--handbook" else main(Path(sys.argv[1]))
