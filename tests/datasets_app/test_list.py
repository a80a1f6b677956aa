"""The list, on the page and in the API: narrowed by the same words, mine only."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_dataset


@pytest.fixture
def some(alice: User, charlie: User) -> None:
    make_dataset(alice, name="legs", rows=3)
    make_dataset(alice, name="wings", format="alpaca", description="of birds", rows=9)
    make_dataset(alice, name="prose", format="text", kind="text", status="invalid", rows=1)
    make_dataset(charlie, name="secret")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["prose", "wings", "legs"]),
        ({"status": "ready"}, ["wings", "legs"]),
        ({"format": "alpaca"}, ["wings"]),
        ({"kind": "text"}, ["prose"]),
        ({"search": "BIRDS"}, ["wings"]),
        ({"search": "secret"}, []),
        ({"ordering": "name"}, ["legs", "prose", "wings"]),
        ({"ordering": "-rows"}, ["wings", "legs", "prose"]),
    ],
)
def test_both_surfaces_narrow_alike(some: None, api: APIClient, page: Client, query: dict, names: list[str]) -> None:
    assert [row["name"] for row in api.get("/api/datasets", query).data["results"]] == names
    assert [dataset.name for dataset in page.get("/datasets/", query).context["page"]] == names


def test_the_api_pages(some: None, api: APIClient) -> None:
    told = api.get("/api/datasets/", {"page_size": 2}).data
    assert (told["count"], len(told["results"])) == (3, 2)
    assert told["next"]
    assert told["previous"] is None


@pytest.mark.parametrize("field", ["status", "format", "kind"])
def test_a_value_that_can_not_be_is_refused(api: APIClient, field: str) -> None:
    answer = api.get("/api/datasets", {field: "purple"})
    assert (answer.status_code, list(answer.data["fields"])) == (400, [field])


def test_the_object_has_the_contracts_fields(some: None, api: APIClient) -> None:
    told = api.get("/api/datasets").data["results"][0]
    agreed = "id name description status format kind rows bytes columns content_hash version splits problems created_at updated_at progress"
    assert set(agreed.split()) <= set(told)


def test_the_empty_page_says_what_to_do(page: Client, some: None, db: None) -> None:
    assert "Nothing fits" in page.get("/datasets/", {"search": "zzz"}).content.decode()


def test_a_newcomer_is_shown_the_way(charlie_page: Client) -> None:
    text = charlie_page.get("/datasets/").content.decode()
    assert "No datasets yet" in text
    assert "/datasets/upload" in text


def test_htmx_gets_the_table_only(some: None, page: Client) -> None:
    text = page.get("/datasets/", {"search": "legs"}, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in text
    assert "legs" in text


def test_strangers_find_nothing(alice: User, charlie_api: APIClient) -> None:
    assert charlie_api.get(f"/api/datasets/{make_dataset(alice).pk}").status_code == 404
