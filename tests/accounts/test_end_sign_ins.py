"""Where somebody is signed in, and how to end it."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import BrowserSession, TokenFamily
from accounts.services.end_sign_ins import end_sign_ins
from accounts.services.issue_tokens import issue_tokens
from finetune.core.errors import Invalid
from tests.conftest import PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def browser(agent: str = FIREFOX) -> Client:
    client = Client(headers={"User-Agent": agent})
    client.post("/sign-in", {"username": "alice", "password": PASSWORD})
    assert client.get("/settings").status_code == 200
    return client


def signed_in(client: Client) -> bool:
    return client.get("/settings").status_code == 200


def test_the_page_lists_browsers_and_programs_and_ends_one(alice):
    here, there = browser(), browser("Mozilla/5.0 (iPhone) Safari/604")
    issue_tokens(user=alice, user_agent="python-requests/2.33", address="10.0.0.7")
    text = here.get("/settings/sessions").content.decode()
    assert "Firefox on Linux" in text and "Safari on iPhone" in text and "python-requests" in text and "10.0.0.7" in text

    other = BrowserSession.objects.exclude(session_key=here.session.session_key).get()
    here.post(f"/settings/sessions/{other.pk}/end")

    assert signed_in(here) and not signed_in(there)
    assert BrowserSession.objects.count() == 1


def test_all_others_end_with_their_tokens(alice, anonymous_api):
    here, there = browser(), browser()
    tokens = issue_tokens(user=alice)
    here.post("/settings/sessions/end-others")
    assert signed_in(here) and not signed_in(there)
    assert anonymous_api.get("/api/auth/me", headers={"Authorization": f"Bearer {tokens['access']}"}).status_code == 401
    assert anonymous_api.post("/api/auth/refresh", {"refresh": tokens["refresh"]}).status_code == 401


def test_a_program_ends(alice, anonymous_api):
    here, tokens = browser(), issue_tokens(user=alice)
    here.post(f"/settings/sign-ins/{TokenFamily.objects.get().pk}/end")
    assert anonymous_api.get("/api/auth/me", headers={"Authorization": f"Bearer {tokens['access']}"}).status_code == 401


def test_sign_out_and_a_new_password_leave_no_row_behind(alice):
    here, there = browser(), browser()
    new = {"old_password": PASSWORD, "new_password": "another-long-passphrase"}
    assert here.post("/settings/password", new).status_code == 302
    assert signed_in(here) and not signed_in(there)
    assert BrowserSession.objects.get().session_key == here.session.session_key
    here.post("/sign-out")
    assert not BrowserSession.objects.exists()


def test_it_ends_nothing_of_somebody_else(alice, charlie, charlie_page):
    here = browser()
    assert end_sign_ins(user=charlie, session=BrowserSession.objects.get(owner=alice).pk) == 0
    assert charlie_page.post(f"/settings/sessions/{BrowserSession.objects.get(owner=alice).pk}/end").status_code == 404
    end_sign_ins(user=charlie, everything=True)
    assert signed_in(here)
    with pytest.raises(Invalid):
        end_sign_ins(user=alice)


def test_a_use_is_noted_now_and_then(alice):
    here = browser()
    BrowserSession.objects.update(address="", seen_at="2020-01-01T00:00:00Z")
    here.get("/settings")
    assert BrowserSession.objects.get().seen_at.year == 2020  # noted a moment ago
    session = here.session
    session["seen_at"] = 0
    session.save()
    here.get("/settings", REMOTE_ADDR="10.9.9.9")
    row = BrowserSession.objects.get()
    assert row.address == "10.9.9.9" and row.seen_at.year > 2020
