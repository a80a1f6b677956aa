"""Every URL and socket, walked from the URLconf, as anonymous, stranger, owner and operator.

Anonymous visitors are asked to sign in; what is alice's does not exist for charlie, nor outside the admin for an operator; for
alice herself it does. A new route is walked without being named here; one that needs an object needs it in `hers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.models import BrowserSession, TokenFamily, User
from accounts.services.create_api_key import create_api_key
from accounts.ws_auth import SocketAuth
from datasets_app.models import Dataset
from finetune.urls import websocket
from models_app.models import LanguageModel
from models_app.trials import Comparison, Evaluation
from tests.conftest import _api, _page
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
    route = re.sub(r"\(\?P<\w+>[^)]*\)", str(pk), route)
    return "/" + re.sub(r"<[^>]+>", str(pk), route)


ALL = sorted(set(routes()))
# What the Hub has is nobody's here; what is asked of it is asked with the asker's own token.
OF_THE_HUB = {"api/models/huggingface/info/<path:repo_id>", "models/hub/about/<path:repo_id>"}
# A tracker is one's own account there, named by its kind.
OF_ONES_OWN = {route for route in ALL if "/trackers/<slug:kind>" in route}
OWNED = [route for route in ALL if "<" in route and "format" not in route and route not in OF_THE_HUB | OF_ONES_OWN]


@pytest.fixture
def hers(alice: User) -> dict[str, int]:
    """Alice's objects by the first word of their routes."""
    base = make_base_model(alice)
    dataset = make_dataset(alice)
    version = make_version(alice, base=base)
    job = make_job(alice, model=base, dataset=dataset)
    template = make_template(alice)
    evaluation = Evaluation.objects.create(owner=alice, model=version, dataset=dataset, dataset_name="x", kind="sft", rows=1)
    # The longer words first: a route is filled by the first that is in it.
    own = {
        "models/evaluations": evaluation.pk,
        "models/comparisons": Comparison.objects.create(owner=alice, messages=[], sides=[]).pk,
        "settings/sessions": BrowserSession.objects.create(owner=alice, session_key="hers").pk,
        "settings/sign-ins": TokenFamily.objects.create(owner=alice, name="hers").pk,
        "api-keys": create_api_key(user=alice, name="hers", scopes=["read"])[0].pk,
    }
    ours = {"templates": template.pk, "datasets": dataset.pk, "models": version.pk, "training": job.pk}
    return {**own, **ours, "v1/files": dataset.pk, "v1/fine_tuning/jobs": job.pk}


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


def named(route: str, hers: dict[str, int]) -> str:
    """The route with the id of alice's object in it."""
    word = next(word for word in hers if f"{word}/" in route or f"{word}(" in route)
    return filled(route, hers[word])


# What operators do to everybody's jobs, on the page of the queue.
OF_OPERATORS = {route for route in OWNED if route.endswith(("/priority", "/move-up"))}


@pytest.mark.parametrize("who", ["charlie", "olivia"])
@pytest.mark.parametrize("route", OWNED)
def test_what_is_alices_does_not_exist_for_others(
    route: str, who: str, hers: dict[str, int], request: pytest.FixtureRequest
) -> None:
    if who == "olivia" and route in OF_OPERATORS:
        pytest.skip("operators do this to everybody's jobs")
    client = (_api if route.startswith(API) else _page)(request.getfixturevalue(who))
    answers = {method: getattr(client, method)(named(route, hers)).status_code for method in METHODS}
    allowed = {method: code for method, code in answers.items() if code != 405}
    assert allowed, route
    assert set(allowed.values()) == {404}, (route, answers)


# What there may be nothing behind although the object is hers: other parameters name a checkpoint, a split, a file or an export.
@pytest.mark.parametrize("route", [route for route in OWNED if route.count("<") == 1])
def test_what_is_alices_exists_for_alice(route: str, hers: dict[str, int], page: Client, api: APIClient) -> None:
    client = api if route.startswith(API) else page
    answer = client.get(named(route, hers))
    assert answer.status_code < 500, route
    # No 404 for want of the object: that would make the stranger's 404 say nothing.
    assert answer.status_code != 404 or route in EMPTY, route


HUGE = 10**20  # more than a database's number holds


@pytest.mark.parametrize("route", OWNED)
def test_a_number_no_row_can_have_is_no_error_of_ours(route: str, hers: dict[str, int], page: Client, api: APIClient) -> None:
    client = api if route.startswith(API) else page
    paths = [filled(route, HUGE)]
    if route.count("<") > 1:  # beside a number that some row has
        paths += [named(route.replace(parameter, str(HUGE)), hers) for parameter in re.findall(r"<[^>]+>", route)]
    for path in paths:
        answers = {getattr(client, method)(path).status_code for method in METHODS} - {405}
        assert answers and max(answers) < 500, (path, answers)


# A mapping and the other side of a comparison are asked for by numbers of their own; the first version differs from nothing.
EMPTY = {
    "api/datasets/mappings/(?P<pk>\\d+)",
    "datasets/<int:pk>/diff",
    "models/evaluations/<int:pk>/compare",
    "api/models/ollama/copies/<int:pk>",
}


def sockets() -> list[str]:
    return [str(pattern.pattern) for pattern in websocket]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["nobody", "charlie", "olivia", "alice"])
@pytest.mark.parametrize("route", sockets())
async def test_every_socket(route: str, who: str) -> None:
    path, cookie = await sync_to_async(_socket_of)(route, who)
    headers = [(b"origin", b"http://localhost"), (b"cookie", cookie)]
    socket = WebsocketCommunicator(SocketAuth(URLRouter(websocket)), path, headers=headers)
    accepted, code = await socket.connect(timeout=10)
    if accepted and (who == "alice" or (who != "nobody" and "<" not in route)):
        code = None if await socket.receive_nothing(0.05) else (await socket.receive_output()).get("code")
    elif accepted:  # a close code only reaches a browser on an open socket
        code = (await socket.receive_output(timeout=10)).get("code")
    await socket.disconnect()
    stranger = 4404 if "<" in route else None  # what names no object opens for everybody with an account
    assert code == {"nobody": 4401, "alice": None}.get(who, stranger), (route, who)


def _socket_of(route: str, who: str) -> tuple[str, bytes]:
    people = {name: User.objects.create_user(name, f"{name}@example.org") for name in ("alice", "charlie")}
    people["olivia"] = User.objects.create_superuser("olivia", "olivia@example.org")
    make = {"training": make_job, "models": make_version, "datasets": make_dataset}.get(route.split("/")[1])
    path = filled(route, make(people["alice"]).pk if make else 0)
    client = Client()
    if who in people:
        client.force_login(people[who])
    return path, f"sessionid={client.cookies['sessionid'].value}".encode() if who in people else b""


CHOICES = {
    "/api/training": {"name": "x", "model_id": "{model}", "dataset_id": "{dataset}", "method": "lora", "config": {}},
    "/api/training/estimate": {"model_id": "{model}", "dataset_id": "{dataset}", "method": "lora", "config": {}},
}


@pytest.mark.parametrize("path", CHOICES)
def test_ids_in_a_body_are_no_way_around(path: str, hers: dict[str, int], charlie: User, charlie_api: APIClient) -> None:
    """A dataset or model of alice's can't be chosen by its number, and the answer is that of one which does not exist."""
    ids = {"{model}": hers["models"], "{dataset}": hers["datasets"]}
    told = []
    for numbers in (ids, {key: pk + 10**8 for key, pk in ids.items()}):
        body = {name: numbers.get(value, value) if isinstance(value, str) else value for name, value in CHOICES[path].items()}
        answer = charlie_api.post(path, body)
        assert answer.status_code == 400 and answer.json()["fields"]
        told.append(re.sub(r"\d+", "…", answer.content.decode()))
    assert told[0] == told[1]
    assert not charlie.jobs.exists()  # type: ignore[attr-defined]


def test_the_forms_offer_only_what_is_ones_own(hers: dict[str, int], alice: User, charlie_page: Client, page: Client) -> None:
    own, foreign = page.get("/training/new").context["form"], charlie_page.get("/training/new").context["form"]
    hidden = {"model_id": LanguageModel.objects.for_user(alice), "dataset_id": Dataset.objects.for_user(alice)}
    for field, rows in hidden.items():
        numbers = {str(pk) for pk in rows.values_list("pk", flat=True)}
        assert numbers & {str(value) for value, _ in own.fields[field].choices}
        assert not numbers & {str(value) for value, _ in foreign.fields[field].choices}


def test_the_admin_is_for_operators(charlie_page: Client) -> None:
    assert charlie_page.get("/admin/").status_code == 302
    assert charlie_page.get("/admin/training/trainingjob/").status_code == 302
