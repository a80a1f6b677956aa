"""Every URL, walked: anonymous visitors are asked to sign in, and what is alice's does not exist for charlie."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_base_model, make_dataset, make_job, make_template, make_version

OPEN = {
    "healthz",
    "readyz",
    "metrics",  # 404 for everybody without its token: tests/operations/test_metrics.py
    "sign-in",
    "register",
    "api/schema",
    "api/docs",
    "api/redoc",
    "api/auth/register",
    "api/auth/login",
    "api/auth/refresh",
    "api/auth/logout",
}
API = ("api/", "v1/")
METHODS = ("get", "post", "put", "patch", "delete")


def routes(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """Every route of the project outside Django's admin, as a template such as `api/training/<pk>/start`."""
    for item in (resolver or get_resolver()).url_patterns:
        route = prefix + str(item.pattern).replace("^", "").replace("$", "").replace("\\Z", "")
        if isinstance(item, URLResolver):
            if not route.startswith("admin/"):
                yield from routes(item, route)
        elif isinstance(item, URLPattern):
            yield route


def filled(route: str, pk: int) -> str:
    """The route with every parameter replaced by this id."""
    import re

    route = re.sub(r"\(\?P<\w+>[^)]*\)", str(pk), route)
    return "/" + re.sub(r"<[^>]+>", str(pk), route)


ALL = sorted(set(routes()))
# What the Hub has is nobody's here; what is asked of it is asked with the asker's own token.
OF_THE_HUB = {"api/models/huggingface/info/<path:repo_id>", "models/hub/about/<path:repo_id>"}
OWNED = [route for route in ALL if "<" in route and "format" not in route and route not in OF_THE_HUB]


@pytest.fixture
def hers(alice: User) -> dict[str, int]:
    """Alice's objects by the first word of their routes."""
    base = make_base_model(alice)
    dataset = make_dataset(alice)
    version = make_version(alice, base=base)
    job = make_job(alice, model=base, dataset=dataset)
    template = make_template(alice)
    ours = {"templates": template.pk, "datasets": dataset.pk, "models": version.pk, "training": job.pk}
    return {**ours, "v1/files": dataset.pk, "v1/fine_tuning/jobs": job.pk}


def test_the_walk_sees_the_product() -> None:
    assert len(ALL) > 40
    assert len(OWNED) > 20


@pytest.mark.parametrize("route", [route for route in ALL if route not in OPEN])
def test_anonymous_visitors_are_asked_to_sign_in(route: str, db: None) -> None:
    User.objects.create_user("owner", "owner@example.org")  # the installation has its first account
    for method in METHODS:
        response = getattr(Client(), method)(filled(route, 1))
        if route.startswith(API):
            assert response.status_code in {401, 405}, (method, route)
        else:
            assert response.status_code in {302, 405}, (method, route)
            assert response.status_code == 405 or response["Location"].startswith("/sign-in"), (method, route)


@pytest.mark.parametrize("route", OWNED)
def test_what_is_alices_does_not_exist_for_charlie(
    route: str, hers: dict[str, int], charlie_page: Client, charlie_api: APIClient
) -> None:
    word = next(word for word in hers if f"{word}/" in route or f"{word}(" in route)
    client = charlie_api if route.startswith(API) else charlie_page
    answers = {method: getattr(client, method)(filled(route, hers[word])).status_code for method in METHODS}
    allowed = {method: code for method, code in answers.items() if code != 405}
    assert allowed, route
    assert set(allowed.values()) == {404}, (route, answers)


def test_the_admin_is_for_operators(charlie_page: Client) -> None:
    assert charlie_page.get("/admin/").status_code == 302
    assert charlie_page.get("/admin/training/trainingjob/").status_code == 302
