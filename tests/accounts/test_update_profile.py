from __future__ import annotations

import pytest

from accounts.models import User


def test_patch_changes_what_is_given(api, alice):
    response = api.patch("/api/auth/me", {"first_name": "Alice", "email": "a@Example.org"})

    assert response.status_code == 200
    assert response.json()["first_name"] == "Alice"
    alice.refresh_from_db()
    assert (alice.first_name, alice.email, alice.username) == ("Alice", "a@example.org", "alice")


def test_put_needs_name_and_address(api):
    assert set(api.put("/api/auth/me", {"first_name": "Alice"}).json()["fields"]) == {"username", "email"}
    assert api.put("/api/auth/me", {"username": "alice2", "email": "a2@example.org"}).json()["username"] == "alice2"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "CHARLIE@example.org"}, "email"),
        ({"username": "Charlie"}, "username"),
        ({"username": "a@b.c"}, "username"),
        ({"email": ""}, "email"),
    ],
)
def test_it_refuses_and_changes_nothing(api, page, alice, charlie, change, field):
    response = api.patch("/api/auth/me", change)
    posted = page.post("/settings/profile", {"username": "alice", "email": "alice@example.org"} | change)

    assert response.status_code == 400 and list(response.json()["fields"]) == [field]
    assert posted.status_code == 422 and list(posted.context["profile_form"].errors) == [field]
    assert User.objects.filter(username="alice", email="alice@example.org").count() == 1


def test_what_is_not_the_profile_can_not_be_set(api, alice):
    api.patch("/api/auth/me", {"is_staff": True, "is_superuser": True, "id": 99, "password": "x"})

    before = alice.password
    alice.refresh_from_db()
    assert not alice.is_staff and not alice.is_superuser and alice.password == before


def test_the_page_saves(page, alice):
    form = {"username": "alice", "email": "alice@example.org", "first_name": "Alice", "last_name": "Liddell"}

    assert page.post("/settings/profile", form).url == "/settings"

    alice.refresh_from_db()
    assert alice.get_full_name() == "Alice Liddell"
    assert b"Liddell" in page.get("/settings").content


def test_strangers_see_nothing(anonymous_api, anonymous_page, alice):
    assert anonymous_api.get("/api/auth/me").status_code == 401
    assert anonymous_api.patch("/api/auth/me", {"first_name": "x"}).status_code == 401
    for path in (
        "/settings/profile",
        "/settings/password",
        "/settings/token",
        "/settings/token/delete",
        "/settings/token/validate",
    ):
        assert anonymous_page.post(path).url.startswith("/sign-in")
