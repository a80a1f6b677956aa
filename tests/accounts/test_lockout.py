"""After many wrong passwords a place waits; the account's own people elsewhere don't."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from tests.conftest import PASSWORD

HERE, THERE = {"REMOTE_ADDR": "10.1.1.1"}, {"REMOTE_ADDR": "10.2.2.2"}


@pytest.fixture(autouse=True)
def limits(settings) -> None:
    cache.clear()
    settings.LOCKOUT_FAILURES = 3


def log_in(api, password: str = PASSWORD, name: str = "alice", **place: str):
    return api.post("/api/auth/login", {"username": name, "password": password}, **place)


def test_the_guesser_waits_and_the_victim_does_not(anonymous_api, anonymous_page, alice, charlie):
    for _ in range(3):
        assert log_in(anonymous_api, "wrong-password", **HERE).status_code == 401

    locked = log_in(anonymous_api, **HERE)
    assert locked.status_code == 429 and 0 < int(locked["Retry-After"]) <= 31
    right = {"username": "ALICE", "password": PASSWORD}
    assert anonymous_page.post("/sign-in", right, **HERE).status_code == 429
    assert log_in(anonymous_api, **THERE).status_code == 200  # alice herself, elsewhere
    assert log_in(anonymous_api, name="charlie", **HERE).status_code == 200  # somebody else in the same house


def test_an_unknown_account_is_locked_alike(anonymous_api, db):
    for _ in range(3):
        assert log_in(anonymous_api, "wrong-password", name="nobody", **HERE).status_code == 401
    assert log_in(anonymous_api, name="nobody", **HERE).status_code == 429


def test_the_right_password_forgets_the_wrong_ones(anonymous_api, alice):
    for _ in range(2):
        log_in(anonymous_api, "wrong-password", **HERE)
    assert log_in(anonymous_api, **HERE).status_code == 200
    for _ in range(2):
        log_in(anonymous_api, "wrong-password", **HERE)
    assert log_in(anonymous_api, **HERE).status_code == 200


def test_it_can_be_turned_off(anonymous_api, alice, settings):
    settings.LOCKOUT_FAILURES = 0
    for _ in range(5):
        assert log_in(anonymous_api, "wrong-password", **HERE).status_code == 401
    assert log_in(anonymous_api, **HERE).status_code == 200
