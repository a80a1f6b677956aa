"""The tabs of a dataset, without JavaScript: what is shown, what the forms do, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from datasets_app import insight_pages, pages
from datasets_app.differing import differing
from datasets_app.models import Dataset, Measurement
from datasets_app.services import render_rows as render_module
from datasets_app.services.measure_dataset import measure
from datasets_app.services.split_dataset import split_dataset
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.datasets_app.test_fix_dataset import broken, fixed
from tests.factories import make_base_model, make_dataset, make_job

TABS = ("problems", "statistics", "split", "versions")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insight_pages, "COUNT_WAIT", 0)


def text_of(page: Client, address: str, status: int = 200) -> str:
    answer = page.get(address)
    assert answer.status_code == status
    return answer.content.decode()


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("status", ["ready", "invalid", "validating"])
def test_every_tab_opens_in_every_state(alice: User, page: Client, tab: str, status: str) -> None:
    dataset = make_dataset(alice, status=status)
    text = text_of(page, f"/datasets/{dataset.pk}/{tab}")
    assert 'aria-current="page"' in text
    assert ("every 2s" in text) == (status == "validating")


def test_problems_are_explained_and_fixed_with_one_click(alice: User, page: Client) -> None:
    dataset = broken(alice)
    text = text_of(page, f"/datasets/{dataset.pk}/problems")
    for words in (
        "Duplicate rows",
        "Line 4",
        "keeps the first of each",
        "Lines that are not JSON",
        f"/datasets/{dataset.pk}?rule=duplicate",
    ):
        assert words.lower() in text.lower(), words
    assert (
        "Duplicate rows"
        not in text_of(page, f"/datasets/{dataset.pk}/problems?severity=error").split("Found</h2>")[1].split("Quality gates")[0]
    )
    answer = page.post(f"/datasets/{dataset.pk}/fix", {"rules": ["duplicate", "personal_data"]})
    made = Dataset.objects.get(version=2)
    assert (answer.status_code, answer["Location"]) == (302, f"/datasets/{made.pk}")
    refused = page.post(f"/datasets/{dataset.pk}/fix", {"rules": []})
    assert (refused.status_code, Dataset.objects.count()) == (400, 2)


def test_rows_with_a_problem_are_shown(alice: User, page: Client) -> None:
    text = text_of(page, f"/datasets/{broken(alice).pk}?rule=personal_data")
    assert "jane@acme.org" in text
    assert "What is 1 + 1?" not in text


def test_checking_with_a_tokenizer(alice: User, page: Client, tokenizer_dir: Path) -> None:
    dataset, model = broken(alice), make_base_model(alice, path=str(tokenizer_dir))
    assert page.post(f"/datasets/{dataset.pk}/check", {"tokenizer_model_id": model.pk, "max_length": 64}).status_code == 302
    dataset.refresh_from_db()
    assert (dataset.status, dataset.checks) == ("uploaded", {"tokenizer_model_id": model.pk, "max_length": 64})
    assert page.post(f"/datasets/{dataset.pk}/check", {"max_length": 64}).status_code == 400
    assert page.post(f"/datasets/{make_dataset(alice).pk}/check", {"max_length": 1}).status_code == 400


def test_gates_are_set_and_taken_away(alice: User, page: Client) -> None:
    dataset = broken(alice)
    address = f"/datasets/{dataset.pk}/gates"
    for body, status, gates in (
        ({"rule": "duplicate", "tolerated": "1.5"}, "invalid", {"duplicate": 1.5}),
        ({"remove": "duplicate"}, "ready", {}),
        ({"reset": "yes"}, "ready", None),
    ):
        assert page.post(address, body).status_code == 302
        dataset.refresh_from_db()
        assert (dataset.status, dataset.gates) == (status, gates)
    assert page.post(address, {"rule": "nonsense", "tolerated": 1}).status_code == 400
    page.post(address, {"rule": "duplicate", "tolerated": "1.5"})
    assert "at most 1.5" in text_of(page, f"/datasets/{dataset.pk}/problems")


def test_statistics_are_drawn(alice: User, page: Client, tokenizer_dir: Path) -> None:
    dataset, model = make_read(alice, jsonl(*pairs(40))), make_base_model(alice, path=str(tokenizer_dir))
    text = text_of(page, f"/datasets/{dataset.pk}/statistics")
    assert '<svg class="bars"' in text
    assert "estimated" in text
    waiting = text_of(page, f"/datasets/{dataset.pk}/statistics?model_id={model.pk}")
    assert "Waiting for a worker" in waiting
    assert "Stop counting" in waiting
    measure(Measurement.objects.get().pk)
    counted = text_of(page, f"/datasets/{dataset.pk}/statistics?model_id={model.pk}&max_length=16")
    assert "are cut" in counted
    assert "bar-cut" in counted
    assert "times fewer sequences" in counted


def test_counting_is_stopped_by_its_button(alice: User, page: Client, tokenizer_dir: Path) -> None:
    dataset, model = make_read(alice, jsonl(*pairs(4))), make_base_model(alice, path=str(tokenizer_dir))
    page.get(f"/datasets/{dataset.pk}/statistics?model_id={model.pk}")
    assert page.post(f"/datasets/{dataset.pk}/statistics").status_code == 302
    assert Measurement.objects.get().status == "cancelled"
    assert page.post(f"/datasets/{dataset.pk}/statistics").status_code == 409


def test_a_model_without_a_tokenizer_is_said_on_the_page(alice: User, page: Client) -> None:
    dataset, model = make_read(alice, jsonl(*pairs(4))), make_base_model(alice)
    assert "not on this machine" in text_of(page, f"/datasets/{dataset.pk}/statistics?model_id={model.pk}")
    assert "not on this machine" in text_of(page, f"/datasets/{dataset.pk}?model_id={model.pk}")


def test_the_form_divides(alice: User, page: Client) -> None:
    dataset = make_read(alice, jsonl(*pairs(20)))
    address = f"/datasets/{dataset.pk}/split"
    assert page.post(address, {"train": "0.8", "validation": "0.2", "seed": "1", "shuffle": "on"}).status_code == 302
    dataset.refresh_from_db()
    assert dataset.splits == {"train": 16, "validation": 4}
    text = text_of(page, address)
    assert "No row" in text
    assert "split=validation" in text
    assert "All splits" in text_of(page, f"/datasets/{dataset.pk}?split=validation")
    refused = page.post(address, {"train": "0.8", "validation": "0.9", "seed": "1"})
    assert refused.status_code == 400
    assert "add up to 1.7" in refused.content.decode()
    used = make_job(alice, status="running").dataset
    assert page.post(f"/datasets/{used.pk}/split", {"train": "0.8", "seed": "1"}).status_code == 400


def test_history_and_difference(alice: User, page: Client) -> None:
    dataset = broken(alice)
    made = fixed(dataset, "duplicate", "personal_data")
    split_dataset(dataset=made, train=0.5, validation=0.5)
    text = text_of(page, f"/datasets/{dataset.pk}/versions")
    assert re.search(r"fixed, from version\s+1", text)
    assert "divided" in text
    told = text_of(page, f"/datasets/{made.pk}/diff?with={dataset.pk}")
    assert "At <mark>[email]</mark>." in told
    assert "1 changed" in told
    assert "1 turn the same" in told
    assert "jane@" not in text_of(page, f"/datasets/{made.pk}/diff?with={dataset.pk}&what=removed")
    assert "Only versions of one dataset" in text_of(page, f"/datasets/{made.pk}/diff?with={make_dataset(alice).pk}")
    assert page.get(f"/datasets/{dataset.pk}/diff").status_code == 404


def test_rows_are_shown_as_the_model_sees_them(
    alice: User, page: Client, tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_module.render, "delay_on_commit", render_module.render)
    dataset, model = make_read(alice, jsonl(*pairs(4))), make_base_model(alice, path=str(tokenizer_dir))
    text = text_of(page, f"/datasets/{dataset.pk}?model_id={model.pk}")
    assert '<mark class="seg-trained">It is 1.&lt;|im_end|&gt;</mark>' in text


def test_the_page_does_not_hang_without_a_worker(
    alice: User, page: Client, tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_module.render, "delay_on_commit", lambda request_id: None)
    monkeypatch.setattr(pages, "RENDER_WAIT", 1)
    dataset, model = make_read(alice, jsonl(*pairs(3))), make_base_model(alice, path=str(tokenizer_dir))
    text = text_of(page, f"/datasets/{dataset.pk}?model_id={model.pk}&max_length=9")
    assert "Waiting for a worker to load this model" in text and 'hx-trigger="load delay:1s"' in text
    assert "What is 0 + 1?" in text


@pytest.mark.parametrize("tab", [*TABS, "diff"])
def test_strangers_find_nothing(alice: User, charlie_page: Client, page: Client, charlie: User, tab: str) -> None:
    dataset, theirs = make_dataset(alice), make_dataset(charlie)
    for method in ("get", "post"):
        assert getattr(charlie_page, method)(f"/datasets/{dataset.pk}/{tab}").status_code in (404, 405)
    assert page.get(f"/datasets/{dataset.pk}/diff?with={theirs.pk}").status_code == 404


def test_what_rows_hold_is_text_on_every_tab(
    alice: User, page: Client, monkeypatch: pytest.MonkeyPatch, tokenizer_dir: Path
) -> None:
    monkeypatch.setattr(render_module.render, "delay_on_commit", render_module.render)
    evil: list[Any] = [{"prompt": f"<script>alert({n})</script>", "completion": "<b>x</b> <|im_end|> a@acme.org"} for n in range(3)]
    dataset, model = make_read(alice, jsonl(*evil)), make_base_model(alice, path=str(tokenizer_dir))
    made = fixed(dataset, "personal_data")
    for address in (
        f"{dataset.pk}/problems",
        f"{dataset.pk}?model_id={model.pk}",
        f"{made.pk}/diff?with={dataset.pk}",
        f"{dataset.pk}/versions",
    ):
        text = text_of(page, f"/datasets/{address}")
        assert "<script>alert" not in text
        assert "<b>x" not in text


def test_what_differs_is_marked_even_where_it_is_a_blank() -> None:
    long = "word " * 200
    sides = [
        {"line": 1, "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}]}
        for text in (f"{long}end \n", f"{long}end")
    ]
    found = differing({"what": "changed", "before": sides[0], "after": sides[1]})
    assert found["same"] == 1
    before, after = (found[side]["messages"][0]["parts"] for side in ("before", "after"))
    assert [part["text"] for part in before[1:]] == ["·⏎\n", ""]
    assert (before[0]["text"][0], before[0]["text"][-4:], after[1]["text"]) == ("…", " end", "")


def test_a_change_that_is_too_long_to_show_says_that_it_goes_on() -> None:
    sides = [{"line": 1, "messages": [{"role": "user", "content": text}]} for text in ("a", "b" * 5000)]
    found = differing({"what": "changed", "before": sides[0], "after": sides[1]})
    shown = [found[side]["messages"][0]["parts"][1]["text"] for side in ("before", "after")]
    assert shown == ["a", "b" * 4000 + "…"]
