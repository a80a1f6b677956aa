"""The pages for what went wrong say what it was, and stand alone: a 500 must not need what has just failed."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from finetune.dashboard import pages


def test_an_unknown_address_says_so(page: Client) -> None:
    response = page.get("/no-such-page")
    assert response.status_code == 404
    assert "Nothing here" in response.content.decode()


@pytest.mark.django_db
def test_the_500_page_needs_no_database_and_no_session() -> None:
    with CaptureQueriesContext(connection) as queries:
        response = pages.server_error(RequestFactory().get("/"))
    assert response.status_code == 500
    assert "Something broke" in response.content.decode()
    assert len(queries) == 0


def test_a_forbidden_page_says_so() -> None:
    response = pages.forbidden(RequestFactory().get("/"))
    assert response.status_code == 403
    assert "Not allowed" in response.content.decode()


def test_a_form_from_elsewhere_is_refused_in_our_own_words(page: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = page.cookies
    response = strict.post("/training/sample")
    assert response.status_code == 403
    assert "That form has expired" in response.content.decode()


def test_the_api_has_no_pages(page: Client) -> None:
    assert page.get("/api/nothing").json() == {"detail": "Not found.", "code": "not_found"}
    assert page.get("/api/models/zebra/exports").json()["code"] == "not_found"
    assert page.get("/v1/nothing").json()["error"]["code"] == "not_found"
