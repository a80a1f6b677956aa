"""Sign-in and sign-out, on pages and API."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from tests.conftest import PASSWORD


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.org", "Alice@Example.org"])
def test_username_and_e_mail_work_in_any_case(anonymous_api, alice, name):
    response = anonymous_api.post("/api/auth/login", {"username": name, "password": PASSWORD})

    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh", "user"}
    alice.refresh_from_db()
    assert alice.last_login is not None


def test_a_wrong_password_and_an_unknown_account_look_the_same(anonymous_api, alice):
    wrong = anonymous_api.post("/api/auth/login", {"username": "alice", "password": "wrong-password"})
    unknown = anonymous_api.post("/api/auth/login", {"username": "nobody", "password": "wrong-password"})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json() == {"detail": "Wrong username or password.", "code": "not_authenticated"}
    assert wrong["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_account_takes_as_long_as_a_wrong_password(anonymous_api, alice, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    alice.set_password(PASSWORD)
    alice.save()

    def best_of_five(name: str) -> float:
        def once() -> float:
            start = time.perf_counter()
            anonymous_api.post("/api/auth/login", {"username": name, "password": "wrong-password"})
            return time.perf_counter() - start

        return min(once() for _ in range(5))

    known, unknown = best_of_five("alice"), best_of_five("nobody")
    assert 0.4 < known / unknown < 2.5


def test_an_inactive_person_stays_out(anonymous_api, anonymous_page, alice):
    get_user_model().objects.update(is_active=False)

    assert anonymous_api.post("/api/auth/login", {"username": "alice", "password": PASSWORD}).status_code == 401
    assert anonymous_page.post("/sign-in", {"username": "alice", "password": PASSWORD}).status_code == 422


def test_the_page_leads_to_where_the_person_wanted(anonymous_page, alice):
    asked = anonymous_page.get("/settings")
    assert asked.url == "/sign-in?next=/settings"

    response = anonymous_page.post(asked.url, {"username": "alice", "password": PASSWORD})

    assert response.url == "/settings"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_the_page_never_leads_to_another_site(anonymous_page, alice, target):
    response = anonymous_page.post("/sign-in", {"username": "alice", "password": PASSWORD, "next": target})

    assert response.url == "/"


def test_a_wrong_password_stays_on_the_page(anonymous_page, alice):
    response = anonymous_page.post("/sign-in", {"username": "alice", "password": "wrong-password"})

    assert response.status_code == 422
    assert response.context["form"].non_field_errors() == ["Wrong username or password."]
    assert anonymous_page.get("/settings").status_code == 302


def test_before_anybody_registered_every_page_leads_to_registration(anonymous_page):
    response = anonymous_page.get("/settings", follow=True)

    assert response.redirect_chain[-1][0] == "/register"


def test_somebody_signed_in_needs_no_sign_in(page):
    assert page.get("/sign-in").url == "/"
    assert page.get("/register").url == "/"


def test_sign_out_ends_the_session(page):
    assert page.get("/sign-out").status_code == 405
    assert page.get("/settings").status_code == 200

    assert page.post("/sign-out").url == "/sign-in"

    assert page.get("/settings").status_code == 302


def test_forms_need_their_csrf_token(alice):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/sign-in", {"username": "alice", "password": PASSWORD}).status_code == 403


def test_the_page_and_the_api_share_one_limit(anonymous_api, anonymous_page, alice, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"login": "2/min"}
    guess = {"username": "alice", "password": "wrong-password"}
    assert anonymous_api.post("/api/auth/login", guess, REMOTE_ADDR="10.1.1.1").status_code == 401
    assert anonymous_page.post("/sign-in", guess, REMOTE_ADDR="10.1.1.1").status_code == 422

    right = {"username": "alice", "password": PASSWORD}
    assert anonymous_api.post("/api/auth/login", right, REMOTE_ADDR="10.1.1.1").status_code == 429
    assert anonymous_page.post("/sign-in", right, REMOTE_ADDR="10.1.1.1").status_code == 429
    assert anonymous_api.post("/api/auth/login", right, REMOTE_ADDR="10.1.1.2").status_code == 200


def test_the_admin_has_no_password_form_of_its_own(anonymous_page, page, olivia):
    response = anonymous_page.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0] == "/sign-in?next=/admin/"
    assert page.post("/admin/login/", {"username": "olivia", "password": PASSWORD}).status_code == 403

    anonymous_page.force_login(olivia)
    for path in ("/admin/", "/admin/accounts/user/", f"/admin/accounts/user/{olivia.pk}/change/", "/admin/accounts/credential/"):
        assert anonymous_page.get(path).status_code == 200
