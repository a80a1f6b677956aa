from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.db import connection
from rest_framework_simplejwt.tokens import AccessToken

from accounts.models import AuditEntry, TokenFamily, User
from accounts.services import rotate_tokens as rotating
from accounts.services.issue_tokens import issue_tokens
from accounts.services.rotate_tokens import rotate_tokens
from tests.conftest import PASSWORD


def refused(api, token: str, **headers: str) -> bool:
    """Whether it opens nothing; asked by a client of its own, so that nobody's answer of a moment ago is given again."""
    response = api.post("/api/auth/refresh", {"refresh": token}, headers={"User-Agent": uuid.uuid4().hex} | headers)
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
def test_exchanges_at_once_by_one_client_get_one_pair():
    user = User.objects.create_user("alice", "alice@example.org", PASSWORD)
    token = issue_tokens(user=user)["refresh"]

    def exchange(number: int) -> str:
        try:
            return rotate_tokens(refresh=token, user_agent="tab", address="10.0.0.1")["refresh"]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(exchange, range(4)))) == 1
    assert not TokenFamily.objects.exclude(ended_at=None).exists()


def test_a_second_tab_gets_the_first_ones_answer_for_a_moment(anonymous_api, alice):
    old = issue_tokens(user=alice)["refresh"]
    first, second = (anonymous_api.post("/api/auth/refresh", {"refresh": old}).json() for _ in range(2))
    assert first == second
    assert first["refresh"] not in str(cache.get(rotating._place(old, "", "127.0.0.1")))  # it is kept encrypted
    cache.clear()  # the moment has passed
    assert anonymous_api.post("/api/auth/refresh", {"refresh": old}).status_code == 401
    assert anonymous_api.post("/api/auth/refresh", {"refresh": first["refresh"]}).status_code == 401


def test_the_moment_is_over_when_its_sign_in_was_ended(anonymous_api, alice):
    old = issue_tokens(user=alice)["refresh"]
    new = anonymous_api.post("/api/auth/refresh", {"refresh": old}).json()
    anonymous_api.post("/api/auth/logout", {"refresh": new["refresh"]})
    assert anonymous_api.post("/api/auth/refresh", {"refresh": old}).status_code == 401


def test_logout_ends_the_token(anonymous_api, alice):
    token = issue_tokens(user=alice)["refresh"]

    assert anonymous_api.post("/api/auth/logout", {"refresh": token}).status_code == 204

    assert refused(anonymous_api, token)
    assert anonymous_api.post("/api/auth/logout", {"refresh": token}).status_code == 401


def test_a_bad_access_token_is_a_401_in_the_one_shape(anonymous_api):
    response = anonymous_api.get("/api/auth/me", headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 401
    assert set(response.json()) == {"detail", "code"}
