"""Name and description; nothing else moves."""

from __future__ import annotations

from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_dataset


def test_it_changes_what_is_given(alice: User, api: APIClient) -> None:
    dataset = make_dataset(alice, description="old")
    answer = api.patch(f"/api/datasets/{dataset.pk}", {"name": "new"})
    assert (answer.status_code, answer.data["name"], answer.data["description"]) == (200, "new", "old")
    answer = api.put(f"/api/datasets/{dataset.pk}", {"name": "newer", "description": ""})
    assert (answer.data["name"], answer.data["description"]) == ("newer", "")


def test_it_refuses_no_name_and_changes_nothing_else(alice: User, api: APIClient) -> None:
    dataset = make_dataset(alice)
    assert "name" in api.put(f"/api/datasets/{dataset.pk}", {"description": "x"}).data["fields"]
    assert "name" in api.patch(f"/api/datasets/{dataset.pk}", {"name": "  "}).data["fields"]
    api.patch(f"/api/datasets/{dataset.pk}", {"status": "invalid", "rows": 0, "owner": 99})
    dataset.refresh_from_db()
    assert (dataset.name, dataset.description, dataset.status, dataset.rows) == ("greetings", "", "ready", 8)


def test_strangers_find_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    dataset = make_dataset(alice)
    assert charlie_api.patch(f"/api/datasets/{dataset.pk}", {"name": "mine"}).status_code == 404
    assert charlie_api.put(f"/api/datasets/{dataset.pk}", {}).status_code == 404
    assert charlie_page.post(f"/datasets/{dataset.pk}/edit", {"name": "mine"}).status_code == 404
    dataset.refresh_from_db()
    assert dataset.name == "greetings"


def test_the_page_changes_it_too(alice: User, page: Client) -> None:
    dataset = make_dataset(alice)
    assert page.post(f"/datasets/{dataset.pk}/edit", {"name": "", "description": "x"}).status_code == 400
    assert page.post(f"/datasets/{dataset.pk}/edit", {"name": "new", "description": "x"}).status_code == 302
    dataset.refresh_from_db()
    assert (dataset.name, dataset.description) == ("new", "x")
