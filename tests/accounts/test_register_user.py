from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services.register_user import register_user
from finetune.core.errors import Invalid
from tests.conftest import PASSWORD

DORA = {"username": "dora", "email": "dora@example.org", "password": PASSWORD}


def test_the_first_person_owns_the_installation_and_the_second_does_not(db):
    first = register_user(**DORA)
    second = register_user(username="emil", email="emil@example.org", password=PASSWORD)

    assert (first.is_owner, first.is_staff, first.is_superuser) == (True, True, True)
    assert (second.is_owner, second.is_staff, second.is_superuser) == (False, False, False)
    assert first.check_password(PASSWORD)


@pytest.mark.django_db(transaction=True)
def test_of_many_first_visitors_at_once_exactly_one_owns_it():
    def visit(number: int) -> None:
        try:
            register_user(username=f"visitor{number}", email=f"v{number}@example.org", password=PASSWORD)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(8)))

    assert User.objects.count() == 8
    assert User.objects.filter(is_superuser=True).count() == 1
    assert User.objects.get(is_owner=True).is_staff


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "Alice"}, "username"),
        ({"email": "ALICE@example.org"}, "email"),
        ({"username": "dora@example.org"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "nul\x00"}, "username"),
        ({"email": "not an address"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "9182736450192"}, "password"),
        ({"password": "dora@example.org"}, "password"),
    ],
)
def test_it_refuses_and_names_the_field(alice, change, field):
    with pytest.raises(Invalid) as refusal:
        register_user(**(DORA | change))

    assert list(refusal.value.fields) == [field]
    assert list(User.objects.all()) == [alice]


def test_it_names_every_bad_field_at_once(db):
    with pytest.raises(Invalid) as refusal:
        register_user(username="a b", email="x", password="short")

    assert set(refusal.value.fields) == {"username", "email", "password"}


def test_the_page_signs_the_new_person_in(anonymous_page):
    assert anonymous_page.get("/register").context["first_user"] is True

    response = anonymous_page.post("/register", DORA)

    assert response.status_code == 302 and response.url == "/"
    assert anonymous_page.get("/settings").status_code == 200
    assert Client().get("/register").context["first_user"] is False


def test_the_page_shows_the_refusal_at_its_field(anonymous_page, alice):
    response = anonymous_page.post("/register", DORA | {"username": "ALICE"})

    assert response.status_code == 422
    assert response.context["form"].errors["username"] == ["This username is taken."]
    assert anonymous_page.get("/settings").status_code == 302


def test_the_api_answers_with_tokens_that_work(anonymous_api):
    response = anonymous_api.post("/api/auth/register", DORA)

    assert response.status_code == 201
    body = response.json()
    assert body["user"]["username"] == "dora" and body["user"]["has_hf_token"] is False
    assert "password" not in body["user"]
    signed_in = APIClient(headers={"Authorization": f"Bearer {body['access']}"})
    assert signed_in.get("/api/auth/me").json()["email"] == "dora@example.org"


def test_the_api_names_missing_fields(anonymous_api):
    body = anonymous_api.post("/api/auth/register", {"username": "dora"}).json()

    assert body["code"] == "invalid"
    assert set(body["fields"]) == {"email", "password"}
    assert not User.objects.exists()


def test_api_and_page_share_one_limit(anonymous_api, anonymous_page, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"register": "2/min"}
    assert anonymous_api.post("/api/auth/register", {}, REMOTE_ADDR="10.9.8.7").status_code == 400
    assert anonymous_page.post("/register", {}, REMOTE_ADDR="10.9.8.7").status_code == 422

    api = anonymous_api.post("/api/auth/register", DORA, REMOTE_ADDR="10.9.8.7")
    page = anonymous_page.post("/register", DORA, REMOTE_ADDR="10.9.8.7")

    assert api.status_code == page.status_code == 429
    assert int(api["Retry-After"]) > 0 and int(page["Retry-After"]) > 0
    assert not User.objects.exists()
