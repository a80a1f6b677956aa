"""What people are told: on the page, by e-mail, by a signed webhook that is tried again."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from celery.exceptions import Retry
from django.core import mail

from accounts.models import Notification, NotificationChannels
from accounts.services.notify import deliver, notify
from accounts.services.save_channels import save_channels
from finetune.core.errors import Invalid

KINDS = [Notification.Kind.JOB_FAILED]


class Hook(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.got = 200, []


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["X-AiFineTune-Signature"], body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hook(settings) -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    settings.WEBHOOK_ALLOWED_HOSTS = [f"127.0.0.1:{server.server_port}"]
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def url(hook: Hook) -> str:
    return f"http://127.0.0.1:{hook.server_port}/hook"


def told(user, kind: str = KINDS[0]) -> Notification:
    return notify(user=user, kind=kind, title="“poems” failed", text="The loss became NaN.", path="/training/7")


def test_the_page_tells_it_and_counts_what_is_new(page, charlie_page, alice):
    told(alice)
    text = page.get("/notifications").content.decode()
    assert "The loss became NaN." in text and "1 new notifications" in text
    assert "NaN" not in charlie_page.get("/notifications").content.decode()
    page.post("/notifications/read")
    assert "new notifications" not in page.get("/notifications").content.decode()


def test_a_webhook_is_signed(alice, hook, settings):
    settings.SITE_URL = "https://finetune.example.org"
    _, secret = save_channels(user=alice, kinds=KINDS, webhook_url=url(hook))
    assert secret and secret not in str(NotificationChannels.objects.values().get())
    notice = told(alice)
    deliver(notice.pk)
    sent, body = hook.got[0]
    values = dict(part.split("=") for part in sent.split(","))
    assert values["v1"] == hmac.new(secret.encode(), f"{values['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert json.loads(body)["url"] == "https://finetune.example.org/training/7"
    notice.refresh_from_db()
    assert notice.webhook_sent_at and notice.webhook_tries == 1
    deliver(notice.pk)  # delivered twice: sent once
    assert len(hook.got) == 1


def test_it_is_tried_again_until_the_host_takes_it(alice, hook):
    save_channels(user=alice, kinds=KINDS, webhook_url=url(hook))
    notice, hook.status = told(alice), 503
    with pytest.raises(Retry):
        deliver(notice.pk)
    notice.refresh_from_db()
    assert notice.webhook_error == "The host answered 503." and not notice.webhook_sent_at
    hook.status = 204
    deliver(notice.pk)
    notice.refresh_from_db()
    assert notice.webhook_sent_at and notice.webhook_tries == 2 and not notice.webhook_error


def test_e_mail_goes_to_the_profiles_address_once(alice, settings):
    settings.EMAIL_HOST = "smtp.example.org"
    save_channels(user=alice, kinds=KINDS, email=True)
    notice = told(alice)
    deliver(notice.pk)
    deliver(notice.pk)
    assert [(letter.to, letter.subject) for letter in mail.outbox] == [(["alice@example.org"], "AiFineTune: “poems” failed")]


def test_what_was_not_asked_for_is_not_sent(alice, hook, django_capture_on_commit_callbacks):
    save_channels(user=alice, kinds=KINDS, webhook_url=url(hook))
    with django_capture_on_commit_callbacks() as waiting:
        told(alice, Notification.Kind.DOWNLOAD_DONE)
    assert waiting == []
    with django_capture_on_commit_callbacks() as waiting:
        told(alice)
    assert len(waiting) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:6379/", "http://169.254.169.254/latest", "file:///etc/passwd", "nonsense"])
def test_an_address_inside_is_refused(page, alice, address):
    with pytest.raises(Invalid) as refusal:
        save_channels(user=alice, kinds=KINDS, webhook_url=address)
    assert "webhook_url" in refusal.value.fields
    assert page.post("/settings/notifications/save", {"webhook_url": address}).status_code == 422
    assert not NotificationChannels.objects.exists()


def test_the_settings_page(page, alice, hook):
    answer = page.post("/settings/notifications/save", {"kinds": KINDS, "webhook_url": url(hook)})
    secret = answer.context["secret"]
    assert secret in answer.content.decode()
    again = page.post("/settings/notifications/save", {"kinds": [], "webhook_url": url(hook)})
    assert again.status_code == 302  # the same address keeps its key
    assert secret not in page.get("/settings/notifications").content.decode()
    assert page.post("/settings/notifications/save", {"email": "on"}).status_code == 422  # no mail server is set
