"""Names, tags, notes, and which version is the latest."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_version


@pytest.fixture
def versions(alice: User) -> list[LanguageModel]:
    base = make_base_model(alice)
    return [make_version(alice, base=base, version=number, is_latest=number == 3) for number in (1, 2, 3)]


def latest() -> list[int]:
    return list(LanguageModel.objects.filter(family="tuned", is_latest=True).values_list("version", flat=True))


def test_tag_and_notes_are_changed_one_by_one(api: APIClient, versions: list[LanguageModel]) -> None:
    url = f"/api/models/{versions[0].pk}/version"
    assert api.put(url, {"version_tag": " production "}).json()["version_tag"] == "production"
    changed = api.put(url, {"version_notes": "Better at poems."}).json()
    assert (changed["version_tag"], changed["version_notes"], changed["is_latest"]) == ("production", "Better at poems.", False)
    assert latest() == [3]


def test_an_older_version_can_be_made_the_latest(api: APIClient, page: Client, versions: list[LanguageModel]) -> None:
    assert api.put(f"/api/models/{versions[0].pk}/version", {"is_latest": True}).json()["is_latest"] is True
    assert latest() == [1]
    assert page.post(f"/models/{versions[1].pk}/latest").status_code == 302
    assert latest() == [2]


def test_the_latest_cannot_be_unmade(api: APIClient, versions: list[LanguageModel]) -> None:
    refused = api.put(f"/api/models/{versions[2].pk}/version", {"is_latest": False})
    assert refused.status_code == 400
    assert list(refused.json()["fields"]) == ["is_latest"]
    assert api.put(f"/api/models/{versions[0].pk}/version", {"is_latest": False}).status_code == 200
    assert latest() == [3]


def test_what_is_not_ready_cannot_be_the_latest(api: APIClient, page: Client, versions: list[LanguageModel]) -> None:
    LanguageModel.objects.filter(pk=versions[0].pk).update(status="failed")
    assert api.put(f"/api/models/{versions[0].pk}/version", {"is_latest": True}).status_code == 409
    page.post(f"/models/{versions[0].pk}/latest")
    assert latest() == [3]


def test_renaming_on_both_surfaces(api: APIClient, page: Client, versions: list[LanguageModel]) -> None:
    url = f"/api/models/{versions[0].pk}"
    assert api.patch(url, {"name": "Poet"}).json()["name"] == "Poet"
    assert api.put(url, {"name": "Bard", "version_notes": "n"}).json()["version_notes"] == "n"
    assert api.put(url, {"version_notes": "n"}).status_code == 400
    assert list(api.patch(url, {"name": " "}).json()["fields"]) == ["name"]
    page.post(f"/models/{versions[0].pk}/edit", {"name": "Singer", "version_tag": "v", "version_notes": ""})
    versions[0].refresh_from_db()
    assert (versions[0].name, versions[0].version_tag, versions[0].version_notes) == ("Singer", "v", "")
    shown = page.post(f"/models/{versions[0].pk}/edit", {"name": "", "version_tag": "w"})
    assert shown.status_code == 422
    versions[0].refresh_from_db()
    assert versions[0].version_tag == "v"


def test_what_the_platform_knows_cannot_be_changed(api: APIClient, versions: list[LanguageModel]) -> None:
    api.patch(f"/api/models/{versions[0].pk}", {"path": "/etc", "status": "failed", "owner": 1, "parameters": 1})
    before = (versions[0].path, versions[0].status, versions[0].parameters)
    versions[0].refresh_from_db()
    assert (versions[0].path, versions[0].status, versions[0].parameters) == before


def test_strangers_change_nothing(charlie_api: APIClient, charlie_page: Client, versions: list[LanguageModel]) -> None:
    pk = versions[0].pk
    assert charlie_api.put(f"/api/models/{pk}/version", {"is_latest": True}).status_code == 404
    assert charlie_api.patch(f"/api/models/{pk}", {"name": "x"}).status_code == 404
    assert charlie_page.post(f"/models/{pk}/latest").status_code == 404
    assert charlie_page.post(f"/models/{pk}/edit", {"name": "x"}).status_code == 404
    assert latest() == [3]
    assert LanguageModel.objects.get(pk=pk).name == "tuned"
