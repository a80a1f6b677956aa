"""The ASGI handler: middlewares and view in one thread, however many hooks there are."""

from __future__ import annotations

import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import HttpResponse

from finetune.core.middleware import Around
from finetune.core.threaded import Threaded

SCOPE = {
    "type": "http", "http_version": "1.1", "method": "GET", "path": "/healthz", "raw_path": b"/healthz", "query_string": b"",
    "headers": [(b"host", b"localhost")], "scheme": "http", "root_path": "",
}  # fmt: skip


class First(Around):
    """The outermost middleware notes its thread."""

    seen: list[int] = []

    def before(self, request):
        self.seen.append(threading.get_ident())
        return request


@pytest.mark.django_db(transaction=True)
async def test_a_request_visits_one_thread(settings, monkeypatch) -> None:
    settings.MIDDLEWARE = [f"{__name__}.First", *settings.MIDDLEWARE]
    loop, seen = threading.get_ident(), First.seen
    seen.clear()

    def view(*args: object) -> HttpResponse:
        seen.append(threading.get_ident())
        return HttpResponse("ok")

    monkeypatch.setattr("django.core.handlers.base.BaseHandler.resolve_request", lambda self, request: (_open(view), (), {}))
    asked = ApplicationCommunicator(Threaded(), SCOPE)
    await asked.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await asked.receive_output(5))["status"] == 200
    assert (await asked.receive_output(5))["body"] == b"ok"
    assert len(seen) == 2 and len(set(seen)) == 1 and loop not in seen


def _open(view):
    view.login_required = False
    return view


@pytest.mark.django_db(transaction=True)
async def test_a_real_page_is_answered_with_its_headers() -> None:
    asked = ApplicationCommunicator(Threaded(), SCOPE)
    await asked.send_input({"type": "http.request", "body": b"", "more_body": False})
    begun = await asked.receive_output(5)
    assert begun["status"] == 200 and b"Content-Security-Policy" in dict(begun["headers"])
