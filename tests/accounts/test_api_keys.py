"""Keys for scripts: shown once, stored as a hash, scoped, revocable, and no way to a person's account."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, AuditEntry, User
from accounts.services.create_api_key import create_api_key
from finetune.core.errors import Invalid


def with_key(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


def test_it_is_made_once_and_opens_the_api(api, alice):
    made = api.post("/api/auth/api-keys", {"name": "nightly", "scopes": ["write"]})
    assert made.status_code == 201
    text = made.json()["key"]
    assert text.startswith("aift_") and made.json()["scopes"] == ["read", "write"]
    listed = api.get("/api/auth/api-keys").json()
    assert [entry["prefix"] for entry in listed] == [text[:12]] and "key" not in listed[0]
    key = ApiKey.objects.get()
    assert text not in str(vars(key)) and key.last_used_at is None

    assert with_key(text).get("/api/auth/me").json()["username"] == "alice"
    assert with_key(text).post("/api/training/sample").status_code < 300
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert AuditEntry.objects.filter(action="create API key", actor=alice).exists()

    assert api.delete(f"/api/auth/api-keys/{key.pk}").status_code == 204
    assert with_key(text).get("/api/auth/me").status_code == 401


def test_a_reading_key_changes_nothing(alice):
    _, text = create_api_key(user=alice, name="reader", scopes=["read"])
    assert with_key(text).get("/api/datasets").status_code == 200
    refused = with_key(text).patch("/api/auth/me", {"first_name": "Mallory"})
    assert refused.status_code == 403 and "only read" in refused.json()["detail"]
    alice.refresh_from_db()
    assert alice.first_name == ""


def test_a_key_can_not_make_itself_at_home(alice):
    _, text = create_api_key(user=alice, name="leaked", scopes=["write"])
    client = with_key(text)
    assert client.post("/api/auth/api-keys", {"name": "another"}).status_code == 403
    assert client.get("/api/auth/api-keys").status_code == 403
    assert client.get("/api/auth/hf-token").status_code == 403
    assert client.post("/api/auth/change-password", {"old_password": "x", "new_password": "y"}).status_code == 403


def test_keys_end(alice):
    _, text = create_api_key(user=alice, name="short", scopes=["read"], expires_at=timezone.now() + timedelta(days=1))
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert with_key(text).get("/api/auth/me").status_code == 401
    _, other = create_api_key(user=alice, name="of somebody who left", scopes=["read"])
    User.objects.update(is_active=False)
    assert with_key(other).get("/api/auth/me").status_code == 401
    assert with_key("aift_nonsense").get("/api/auth/me").status_code == 401


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": " "}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": ["root"]}),
        ("expires_at", {"expires_at": timezone.now() - timedelta(days=1)}),
    ],
)
def test_it_refuses_by_name(alice, field, values):
    with pytest.raises(Invalid) as refusal:
        create_api_key(user=alice, **({"name": "x", "scopes": ["read"]} | values))
    assert field in refusal.value.fields and not ApiKey.objects.exists()


def test_the_page_shows_a_key_once(page, alice):
    answer = page.post("/settings/api-keys/new", {"name": "laptop", "scope": "read", "days": "30"})
    text = answer.context["text"]
    assert text in answer.content.decode() and answer["Cache-Control"].startswith("max-age=0")
    again = page.get("/settings/api-keys").content.decode()
    assert text not in again and text[:12] in again
    assert page.post("/settings/api-keys/new", {"name": "", "scope": "read", "days": ""}).status_code == 422
    assert page.post(f"/settings/api-keys/{ApiKey.objects.get().pk}/revoke").status_code == 302
    assert not ApiKey.objects.exists()
