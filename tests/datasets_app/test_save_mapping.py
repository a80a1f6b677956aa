"""Mappings kept under a name, each person's own."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import SavedMapping
from datasets_app.services.delete_mapping import delete_mapping
from datasets_app.services.save_mapping import save_mapping
from finetune.core.errors import Invalid

MAPPING = {"prompt": "question", "completion": {"template": "{a}"}}


def test_one_is_saved_and_one_of_the_same_name_replaced(alice: User, charlie: User) -> None:
    first = save_mapping(owner=alice, name=" mine ", mapping=MAPPING)
    save_mapping(owner=charlie, name="mine", mapping=MAPPING)
    second = save_mapping(owner=alice, name="mine", mapping={"text": "body"})
    assert first.pk == second.pk
    assert SavedMapping.objects.for_user(alice).get().mapping == {"text": "body"}
    assert SavedMapping.objects.for_user(charlie).get().mapping == MAPPING


@pytest.mark.parametrize(
    ("name", "mapping", "field"),
    [("", MAPPING, "name"), ("x" * 101, MAPPING, "name"), ("a", {}, "mapping"), ("a", {"no": "x"}, "mapping")],
)
def test_nonsense_is_refused(name: str, mapping: dict, field: str, alice: User) -> None:
    with pytest.raises(Invalid) as refusal:
        save_mapping(owner=alice, name=name, mapping=mapping)
    assert list(refusal.value.fields) == [field]
    assert SavedMapping.objects.count() == 0


def test_there_is_an_end(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.services.save_mapping.MOST", 1)
    save_mapping(owner=alice, name="a", mapping=MAPPING)
    with pytest.raises(Invalid, match="Delete one"):
        save_mapping(owner=alice, name="b", mapping=MAPPING)


def test_the_api_lists_saves_and_deletes_ones_own(api: APIClient, charlie_api: APIClient) -> None:
    made = api.post("/api/datasets/mappings", {"name": "mine", "mapping": MAPPING})
    assert (made.status_code, made.data["mapping"]) == (201, MAPPING)
    assert api.post("/api/datasets/mappings", {"name": "mine", "mapping": {"bad": "x"}}).status_code == 400
    assert api.get("/api/datasets/mappings").data["count"] == 1
    address = f"/api/datasets/mappings/{made.data['id']}"
    assert api.get(address).data == made.data
    assert charlie_api.get("/api/datasets/mappings").data["count"] == 0
    assert charlie_api.get(address).status_code == 404
    assert charlie_api.delete(address).status_code == 404
    assert api.delete(address).status_code == 204
    assert SavedMapping.objects.count() == 0


def test_the_page_deletes_ones_own(page: Client, charlie_page: Client, alice: User) -> None:
    saved = save_mapping(owner=alice, name="mine", mapping=MAPPING)
    assert charlie_page.post(f"/datasets/mappings/{saved.pk}/delete").status_code == 404
    answer = page.post(f"/datasets/mappings/{saved.pk}/delete", {"next": "https://example.org/"})
    assert answer["Location"] == "/datasets/"
    assert SavedMapping.objects.count() == 0


def test_deleting_touches_nothing_else(alice: User) -> None:
    kept = save_mapping(owner=alice, name="kept", mapping=MAPPING)
    delete_mapping(mapping=save_mapping(owner=alice, name="gone", mapping=MAPPING))
    assert list(SavedMapping.objects.all()) == [kept]
