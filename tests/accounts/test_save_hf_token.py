"""The Hugging Face token against a Hub on the loopback."""

from __future__ import annotations

import logging

import pytest

from accounts.models import Credential
from finetune.core import crypto
from tests.accounts.conftest import GOOD_TOKEN

NONE = {"has_token": False, "valid": None, "username": None, "role": None, "orgs": [], "last4": None, "checked_at": None}


@pytest.fixture
def saved(hub_server, api):
    response = api.post("/api/auth/hf-token", {"token": GOOD_TOKEN})
    assert response.status_code == 200
    return response


def test_it_is_stored_encrypted_and_never_shown(saved, api, page, alice, caplog):
    caplog.set_level(logging.DEBUG)
    body = api.get("/api/auth/hf-token").json()

    assert body == saved.json()
    assert body["has_token"] and body["valid"] and body["last4"] == GOOD_TOKEN[-4:]
    assert (body["username"], body["role"], body["orgs"]) == ("alice-on-the-hub", "read", ["wonderland"])
    credential = Credential.objects.get(owner=alice)
    assert crypto.decrypt(credential.ciphertext) == GOOD_TOKEN
    assert GOOD_TOKEN not in credential.ciphertext
    for shown in (saved.content, page.get("/settings/connections").content, caplog.text.encode()):
        assert GOOD_TOKEN.encode() not in shown
    assert api.get("/api/auth/me").json()["has_hf_token"] is True


def test_a_refused_token_is_not_stored_and_the_old_one_stays(saved, api, page, alice):
    response = api.post("/api/auth/hf-token", {"token": "hf_bad"})
    posted = page.post("/settings/token", {"token": "hf_bad"})

    assert response.status_code == 400 and list(response.json()["fields"]) == ["token"]
    assert posted.status_code == 422 and "token" in posted.context["token_form"].errors
    assert b"hf_bad" not in response.content + posted.content
    assert crypto.decrypt(Credential.objects.get(owner=alice).ciphertext) == GOOD_TOKEN


def test_nothing_is_stored_while_the_hub_is_unreachable(hub_server, api, settings):
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    response = api.post("/api/auth/hf-token", {"token": GOOD_TOKEN})

    assert response.status_code == 503
    assert api.get("/api/auth/hf-token").json() == NONE


def test_a_broken_hub_is_no_verdict(saved, hub_server, api):
    hub_server.failing = 500
    assert api.post("/api/auth/hf-token/validate").status_code == 503
    assert api.get("/api/auth/hf-token").json()["valid"] is True


def test_validate_notices_a_revoked_token(saved, hub_server, api, page):
    hub_server.known.clear()

    response = api.post("/api/auth/hf-token/validate")

    assert response.status_code == 200 and response.json()["valid"] is False
    hub_server.known[GOOD_TOKEN] = "alice"
    assert page.post("/settings/token/validate").url == "/settings/connections"
    assert api.get("/api/auth/hf-token").json()["valid"] is True


def test_validate_without_a_token_is_a_conflict(api):
    assert api.post("/api/auth/hf-token/validate").status_code == 409


def test_forgetting_it_twice_is_harmless(saved, api, page):
    assert api.delete("/api/auth/hf-token").status_code == 204
    assert page.post("/settings/token/delete").url == "/settings/connections"

    assert api.get("/api/auth/hf-token").json() == NONE
    assert not Credential.objects.exists()


def test_it_is_nobody_elses_business(saved, charlie_api, anonymous_api):
    assert charlie_api.get("/api/auth/hf-token").json() == NONE
    assert charlie_api.delete("/api/auth/hf-token").status_code == 204
    assert Credential.objects.count() == 1
    assert anonymous_api.get("/api/auth/hf-token").status_code == 401


def test_a_lost_key_says_what_to_do(saved, api, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["8Zc0hZ0GdJY6dZ0v6o2cXo3U0m2s1l1g0Qm0p2w3e4U="]
    response = api.post("/api/auth/hf-token/validate")

    assert response.status_code == 409 and response.json()["code"] == "key_lost"
