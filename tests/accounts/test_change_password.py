from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.services.change_password import change_password
from accounts.services.issue_tokens import issue_tokens
from finetune.core.errors import Invalid
from tests.conftest import PASSWORD

NEW = "another-long-passphrase"


def test_it_ends_other_sessions_and_every_token(page, alice):
    tokens = issue_tokens(user=alice)
    elsewhere = Client()
    elsewhere.force_login(alice)
    script = APIClient(headers={"Authorization": f"Bearer {tokens['access']}"})
    assert script.get("/api/auth/me").status_code == 200

    response = page.post("/settings/password", {"old_password": PASSWORD, "new_password": NEW})

    assert response.url == "/settings"
    assert page.get("/settings").status_code == 200  # this session goes on
    assert elsewhere.get("/settings").status_code == 302
    assert script.get("/api/auth/me").status_code == 401
    assert APIClient().post("/api/auth/refresh", {"refresh": tokens["refresh"]}).status_code == 401
    alice.refresh_from_db()
    assert alice.check_password(NEW)


def test_the_api_changes_it_with_a_token(alice):
    script = APIClient(headers={"Authorization": f"Bearer {issue_tokens(user=alice)['access']}"})

    response = script.post("/api/auth/change-password", {"old_password": PASSWORD, "new_password": NEW})

    assert response.status_code == 204
    assert script.get("/api/auth/me").status_code == 401
    assert APIClient().post("/api/auth/login", {"username": "alice", "password": NEW}).status_code == 200


def test_the_api_keeps_the_browser_session_that_asked(page):
    body = {"old_password": PASSWORD, "new_password": NEW}
    assert page.post("/api/auth/change-password", body, content_type="application/json").status_code == 204
    assert page.get("/settings").status_code == 200


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [("wrong", NEW, "old_password"), (PASSWORD, "12345678", "new_password"), (PASSWORD, "alice", "new_password")],
)
def test_it_refuses_and_changes_nothing(alice, page, old, new, field):
    tokens = issue_tokens(user=alice)
    with pytest.raises(Invalid) as refusal:
        change_password(user=alice, old_password=old, new_password=new)
    response = page.post("/settings/password", {"old_password": old, "new_password": new})

    assert list(refusal.value.fields) == [field]
    assert response.status_code == 422 and field in response.context["password_form"].errors
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert APIClient().post("/api/auth/refresh", {"refresh": tokens["refresh"]}).status_code == 200


def test_guessing_the_old_password_is_limited(page, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"login": "1/min"}
    page.post("/settings/password", {"old_password": "wrong", "new_password": NEW})

    assert page.post("/settings/password", {"old_password": PASSWORD, "new_password": NEW}).status_code == 429
