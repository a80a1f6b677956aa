"""Accounts at experiment trackers: tried first, encrypted, shown never."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Credential, User
from accounts.tracker_accounts import tracker_of
from tests.loopback_trackers import KEY, Trackers


def forms(trackers: Trackers) -> dict[str, dict[str, str]]:
    return {
        "wandb": {"secret": KEY, "url": trackers.url, "project": "legs"},
        "mlflow": {"secret": KEY, "url": trackers.url + "/", "username": "ada"},
    }


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_saved_tested_shown_without_the_key_and_forgotten(kind: str, trackers: Trackers, alice: User, page: Any, api: Any) -> None:
    answer = page.post(f"/settings/trackers/{kind}", forms(trackers)[kind])
    assert answer.url == "/settings/connections"
    stored = Credential.objects.get(owner=alice, kind=kind)
    assert KEY not in stored.ciphertext and stored.info["username"] == "ada" and stored.info["url"] == trackers.url
    assert tracker_of(alice, kind).secret == KEY  # type: ignore[union-attr]
    assert KEY not in repr(tracker_of(alice, kind))
    told = api.get(f"/api/auth/trackers/{kind}").json()
    assert told["connected"] and told["valid"] and KEY not in str(told)
    assert KEY not in page.get("/settings/connections").content.decode()
    assert api.post(f"/api/auth/trackers/{kind}/validate").json()["valid"] is True
    trackers.fail = 1
    assert api.post(f"/api/auth/trackers/{kind}/validate").status_code == 503
    assert Credential.objects.get(kind=kind).valid
    assert page.post(f"/settings/trackers/{kind}/delete").status_code == 302
    assert api.post(f"/api/auth/trackers/{kind}/validate").status_code == 409
    again = api.post(f"/api/auth/trackers/{kind}", forms(trackers)[kind])
    assert (again.status_code, again.json()["valid"], KEY in str(again.json())) == (200, True, False)


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("wandb", {"secret": "wrong" * 8}, "secret"),
        ("wandb", {"secret": ""}, "secret"),
        ("wandb", {"project": "a/b"}, "project"),
        ("mlflow", {"secret": "wrong"}, "secret"),
        ("mlflow", {"url": "http://10.0.0.1:5000"}, "url"),
        ("mlflow", {"url": "ftp://example.org"}, "url"),
        ("mlflow", {"url": "http://ada:x@127.0.0.1"}, "url"),
    ],
)
def test_both_surfaces_refuse_by_name_and_nothing_is_stored(
    kind: str, change: dict[str, str], field: str, trackers: Trackers, page: Any, api: Any
) -> None:
    values = forms(trackers)[kind] | change
    told = api.post(f"/api/auth/trackers/{kind}", values)
    assert told.status_code == 400 and list(told.json()["fields"]) == [field], told.json()
    shown = page.post(f"/settings/trackers/{kind}", values)
    assert shown.status_code == 422 and list(shown.context[f"{kind}_form"].errors) == [field]
    assert not Credential.objects.exists()


def test_there_are_no_other_trackers(page: Any, api: Any, db: None) -> None:
    for kind in ("comet", "hf", "modal"):
        assert page.post(f"/settings/trackers/{kind}", {"secret": "x"}).status_code == 404
        assert api.get(f"/api/auth/trackers/{kind}").status_code == 404
