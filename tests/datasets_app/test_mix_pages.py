"""The pages that combine datasets and set the gates of all of them."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from datasets_app.gates import gates_of_owner
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
from tests.datasets_app.conftest import jsonl, make_read, pairs


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def chosen(*parts: tuple[Dataset, float], **more: object) -> dict:
    used = {f"use-{dataset.pk}": "on" for dataset, _ in parts} | {f"weight-{dataset.pk}": weight for dataset, weight in parts}
    return {"name": "both", "seed": 42, "rows": "", **used, **more}


def test_the_counts_are_shown_while_one_chooses_and_then_it_is_made(page: Client, alice: User) -> None:
    one, two = make_read(alice, jsonl(*pairs(40)), "one.jsonl"), make_read(alice, jsonl(*pairs(30)), "two.jsonl")
    assert page.get("/datasets/mix", {"dataset": one.pk}).content.count(b" checked") == 1
    htmx = {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "preview"}
    shown = page.post("/datasets/mix", chosen((one, 3), (two, 1)), **htmx).content.decode()
    assert "<html" not in shown
    assert "40 of 40" in shown
    assert "13 of 30" in shown
    repeated = page.post("/datasets/mix", chosen((one, 1), (two, 1), rows=100, name=""), **htmx).content.decode()
    assert "50 of 40" in repeated
    assert "taken 1.7 times" in repeated
    answer = page.post("/datasets/mix", chosen((one, 3), (two, 1)) | {"action": "make"})
    made = Dataset.objects.get(origin="mixture")
    assert answer.headers["Location"] == f"/datasets/{made.pk}"
    ingest(made.pk)
    made.refresh_from_db()
    assert (made.status, made.rows) == ("ready", 53)


def test_what_can_not_be_combined_is_said(page: Client, alice: User) -> None:
    one, two = make_read(alice, jsonl(*pairs(4))), make_read(alice, jsonl({"text": "a"}, {"text": "b"}))
    hers = make_read(User.objects.create_user("bob", "bob@example.org", "a-long-password"), jsonl(*pairs(4)))
    assert "Name two to" in page.post("/datasets/mix", chosen((one, 1))).content.decode()
    assert "different kinds" in page.post("/datasets/mix", chosen((one, 1), (two, 1))).content.decode()
    refused = page.post("/datasets/mix", chosen((one, 1), (hers, 1)) | {"action": "make"})
    assert refused.status_code == 400
    assert "above 0" in page.post("/datasets/mix", chosen((one, 0), (two, 1))).content.decode()
    assert page.post("/datasets/mix", chosen((one, 1), (two, 1), name="") | {"action": "make"}).status_code == 400
    assert not Dataset.objects.filter(origin="mixture").exists()


def test_ones_own_gates_are_added_and_taken_away(page: Client, alice: User) -> None:
    assert "There are none" in page.get("/datasets/gates").content.decode()
    page.post("/datasets/gates", {"rule": "duplicate", "tolerated": "5"})
    assert gates_of_owner(alice) == {"duplicate": 5.0}
    assert "Duplicate rows: at most 5 %" in page.get("/datasets/gates").content.decode()
    assert page.post("/datasets/gates", {"rule": "nothing", "tolerated": "5"}).status_code == 400
    assert "/datasets/gates" in page.get("/settings").content.decode()
    page.post("/datasets/gates", {"remove": "duplicate"})
    assert gates_of_owner(alice) == {}
