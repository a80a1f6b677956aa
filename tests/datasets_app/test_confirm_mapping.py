"""Agreeing to the columns that were taken by their names."""

from __future__ import annotations

from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.datasets_app.conftest import jsonl, make_read, pairs

ROWS = jsonl(*({"question": f"a{number}", "answer": "b"} for number in range(3)))


def test_what_was_taken_becomes_the_mapping_and_nothing_is_read_again(alice: User, page: Client) -> None:
    dataset = make_read(alice, ROWS)
    assert "That is right" in page.get(f"/datasets/{dataset.pk}").content.decode()
    assert page.post(f"/datasets/{dataset.pk}/confirm").status_code == 302
    dataset.refresh_from_db()
    assert (dataset.status, dataset.mapping) == ("ready", {"prompt": "question", "completion": "answer"})
    assert "That is right" not in page.get(f"/datasets/{dataset.pk}").content.decode()


def test_with_nothing_to_agree_to_it_is_refused(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*pairs(3)))
    assert api.post(f"/api/datasets/{dataset.pk}/confirm-mapping").status_code == 409
    taken = make_read(alice, ROWS)
    assert api.post(f"/api/datasets/{taken.pk}/confirm-mapping").data["mapping"] == {"prompt": "question", "completion": "answer"}
    assert api.post(f"/api/datasets/{taken.pk}/confirm-mapping").status_code == 409


def test_strangers_agree_to_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    dataset = make_read(alice, ROWS)
    assert charlie_api.post(f"/api/datasets/{dataset.pk}/confirm-mapping").status_code == 404
    assert charlie_page.post(f"/datasets/{dataset.pk}/confirm").status_code == 404
    dataset.refresh_from_db()
    assert dataset.mapping == {}
