"""How the pages look is the account's: the first byte of a page says it, whichever browser asks."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.conftest import _page


def test_it_follows_the_person_to_another_browser(page: Client, api, alice, charlie_page: Client):
    assert 'data-account-theme="system">' in page.get("/settings").content.decode()
    assert page.post("/settings/theme", {"theme": "dark"}).status_code == 204
    assert '<html lang="en" data-account-theme="dark" data-theme="dark">' in _page(alice).get("/").content.decode()
    alice.refresh_from_db()
    assert api.get("/api/auth/me").json()["theme"] == "dark"
    assert 'data-theme="dark"' not in charlie_page.get("/").content.decode()
    assert api.patch("/api/auth/me", {"theme": "light"}).json()["theme"] == "light"
    assert page.post("/settings/theme", {"theme": "system", "back": "1"}).url == "/settings"


@pytest.mark.parametrize("theme", ["", "pink"])
def test_it_refuses_what_is_no_theme(page: Client, api, alice, theme):
    assert page.post("/settings/theme", {"theme": theme}).status_code == 422
    assert api.patch("/api/auth/me", {"theme": theme}).json()["fields"].keys() == {"theme"}
    alice.refresh_from_db()
    assert alice.theme == "system"
