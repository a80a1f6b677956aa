"""Registration: open, by invitation, closed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Invitation, User

BODY = {"username": "dora", "email": "dora@example.org", "password": "a-long-enough-passphrase"}


def invite(**values) -> str:
    invitation = Invitation(**values)
    secret = invitation.renew_secret()
    invitation.save()
    return secret


@pytest.mark.parametrize("mode", ["closed", "invitation"])
def test_the_first_person_always_may(anonymous_api, db, settings, mode):
    settings.REGISTRATION = mode
    assert anonymous_api.post("/api/auth/register", BODY).status_code == 201
    assert User.objects.get().is_owner


def test_closed_is_closed_on_both_surfaces(anonymous_api, anonymous_page, alice, settings):
    settings.REGISTRATION = "closed"
    secret = invite()
    refused = anonymous_api.post("/api/auth/register", BODY | {"invitation": secret})
    assert refused.status_code == 403 and refused.json()["code"] == "registration_closed"
    assert "Registration is closed" in anonymous_page.get(f"/register?invitation={secret}").content.decode()
    assert anonymous_page.post("/register", BODY | {"invitation": secret}).status_code == 422
    assert "Create an account" not in anonymous_page.get("/sign-in").content.decode()
    assert User.objects.count() == 1


def test_an_invitation_is_good_once(anonymous_page, anonymous_api, alice, settings):
    settings.REGISTRATION = "invitation"
    secret = invite(operator=True)
    assert anonymous_api.post("/api/auth/register", BODY).status_code == 403
    assert "By invitation only" in anonymous_page.get("/register").content.decode()
    form = anonymous_page.get(f"/register?invitation={secret}")
    assert secret in form.content.decode()

    assert anonymous_page.post("/register", BODY | {"invitation": secret}).status_code == 302

    dora = User.objects.get(username="dora")
    assert dora.is_staff and not dora.is_owner
    assert Invitation.objects.get().used_by == dora
    again = BODY | {"username": "eve", "email": "eve@example.org", "invitation": secret}
    assert anonymous_api.post("/api/auth/register", again).status_code == 403


def test_an_invitation_is_for_whom_it_names_and_ends(anonymous_api, alice, settings):
    settings.REGISTRATION = "invitation"
    secret = invite(email="other@example.org")
    refused = anonymous_api.post("/api/auth/register", BODY | {"invitation": secret})
    assert refused.status_code == 400 and "email" in refused.json()["fields"]
    late = invite(expires_at=timezone.now() - timedelta(minutes=1))
    assert anonymous_api.post("/api/auth/register", BODY | {"invitation": late}).status_code == 403
    assert User.objects.count() == 1
