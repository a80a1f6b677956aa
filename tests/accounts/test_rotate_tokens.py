from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from rest_framework_simplejwt.tokens import AccessToken

from accounts.models import AuditEntry, User
from accounts.services.issue_tokens import issue_tokens
from accounts.services.rotate_tokens import RefusedToken, rotate_tokens
from tests.conftest import PASSWORD


def refused(api, token: str) -> bool:
    response = api.post("/api/auth/refresh", {"refresh": token})
    assert response.status_code in (200, 401)
    if response.status_code == 401:
        assert response.json()["code"] == "token_not_valid"
    return response.status_code == 401


def test_the_old_token_is_refused_after_the_exchange(anonymous_api, alice):
    old = issue_tokens(user=alice)["refresh"]

    new = anonymous_api.post("/api/auth/refresh", {"refresh": old}).json()

    assert anonymous_api.get("/api/auth/me", headers={"Authorization": f"Bearer {new['access']}"}).status_code == 200
    assert not refused(anonymous_api, new["refresh"])
    assert refused(anonymous_api, old)


def test_a_token_used_twice_ends_all_that_came_of_its_sign_in_and_nothing_else(anonymous_api, alice):
    old, other = issue_tokens(user=alice)["refresh"], issue_tokens(user=alice)
    new = anonymous_api.post("/api/auth/refresh", {"refresh": old}).json()

    assert refused(anonymous_api, old)  # a thief, or the owner after the thief

    assert refused(anonymous_api, new["refresh"])
    assert anonymous_api.get("/api/auth/me", headers={"Authorization": f"Bearer {new['access']}"}).status_code == 401
    assert anonymous_api.get("/api/auth/me", headers={"Authorization": f"Bearer {other['access']}"}).status_code == 200
    assert not refused(anonymous_api, other["refresh"])
    assert AuditEntry.objects.filter(action="refresh token used twice", target="alice").count() == 1


def test_logout_ends_the_access_token_too(anonymous_api, alice):
    tokens = issue_tokens(user=alice)
    anonymous_api.post("/api/auth/logout", {"refresh": tokens["refresh"]})
    assert anonymous_api.get("/api/auth/me", headers={"Authorization": f"Bearer {tokens['access']}"}).status_code == 401


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é"])
def test_it_refuses_what_is_no_token(anonymous_api, token):
    assert refused(anonymous_api, token)


def test_it_refuses_an_access_token(anonymous_api, alice):
    assert refused(anonymous_api, str(AccessToken.for_user(alice)))


def test_it_refuses_people_who_left(anonymous_api, alice, charlie):
    of_alice, of_charlie = issue_tokens(user=alice)["refresh"], issue_tokens(user=charlie)["refresh"]
    User.objects.filter(pk=alice.pk).update(is_active=False)
    charlie.delete()

    assert refused(anonymous_api, of_alice)
    assert refused(anonymous_api, of_charlie)


def test_a_missing_token_is_named(anonymous_api, db):
    response = anonymous_api.post("/api/auth/refresh", {})

    assert response.status_code == 400 and "refresh" in response.json()["fields"]


@pytest.mark.django_db(transaction=True)
def test_of_two_exchanges_at_once_one_wins():
    user = User.objects.create_user("alice", "alice@example.org", PASSWORD)
    token = issue_tokens(user=user)["refresh"]

    def exchange(_: int) -> bool:
        try:
            rotate_tokens(refresh=token)
        except RefusedToken:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(exchange, range(4))) == 1


def test_logout_ends_the_token(anonymous_api, alice):
    token = issue_tokens(user=alice)["refresh"]

    assert anonymous_api.post("/api/auth/logout", {"refresh": token}).status_code == 204

    assert refused(anonymous_api, token)
    assert anonymous_api.post("/api/auth/logout", {"refresh": token}).status_code == 401


def test_a_bad_access_token_is_a_401_in_the_one_shape(anonymous_api):
    response = anonymous_api.get("/api/auth/me", headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 401
    assert set(response.json()) == {"detail", "code"}
