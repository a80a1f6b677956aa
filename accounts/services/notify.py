"""Tell a person something: on the page, and by e-mail and webhook where they want that."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from typing import Any

import httpx
from celery import shared_task
from django.conf import settings
from django.core.mail import send_mail
from django.utils import timezone

from accounts import unread
from accounts.models import User
from accounts.notice_models import Notification, NotificationChannels
from finetune.core import crypto, outbound
from finetune.core.errors import DomainError

logger = logging.getLogger(__name__)
TRIES = 6
FIRST_WAIT = 10  # seconds, five times as long after each try: the last comes some two hours after the first


def notify(*, user: User, kind: str, title: str, text: str = "", path: str = "") -> Notification:
    """Write it down for the page. What the person's channels want sent is sent by a worker after the commit.

    `path` is the page it is about. Never refuses: what is told has happened already.
    """
    notice = Notification.objects.create(owner=user, kind=kind, title=title[:200], text=text[:500], path=path)
    unread.forget(user.pk)
    channels = NotificationChannels.objects.filter(owner=user).first()
    if channels and (kind in channels.kinds or kind == Notification.Kind.TEST) and (channels.email or channels.webhook_url):
        deliver.delay_on_commit(notice.pk)
    return notice


@shared_task(bind=True, max_retries=TRIES - 1)
def deliver(task: Any, pk: int) -> None:
    """Send what has not been sent yet; try the webhook again later when its host does not take it."""
    notice = Notification.objects.select_related("owner__channels").filter(pk=pk, owner__is_active=True).first()
    if notice is None:
        return
    channels = notice.owner.channels
    if channels.email and not notice.emailed_at:
        _send_mail(notice)
    if not channels.webhook_url or notice.webhook_sent_at:
        return
    error = _post(notice, channels)
    sent = None if error else timezone.now()
    tries = notice.webhook_tries + 1
    Notification.objects.filter(pk=pk).update(webhook_tries=tries, webhook_error=error[:300], webhook_sent_at=sent)
    if error and tries < TRIES:
        raise task.retry(countdown=FIRST_WAIT * 5 ** (tries - 1))


def _send_mail(notice: Notification) -> None:
    link = f"\n\n{settings.SITE_URL}{notice.path}" if settings.SITE_URL and notice.path else ""
    try:
        send_mail(f"AiFineTune: {notice.title}", f"{notice.text or notice.title}{link}", None, [notice.owner.email])
    except OSError as error:  # smtplib's errors are OSErrors
        logger.warning("Notification %s could not be sent by e-mail: %s", notice.pk, type(error).__name__)
        return
    Notification.objects.filter(pk=notice.pk).update(emailed_at=timezone.now())


def _post(notice: Notification, channels: NotificationChannels) -> str:
    """Empty when the host took it, else why not. Signed: see `signature`."""
    body = json.dumps(
        {
            "id": notice.pk,
            "kind": notice.kind,
            "title": notice.title,
            "text": notice.text,
            "url": f"{settings.SITE_URL}{notice.path}" if notice.path else "",
            "created_at": notice.created_at.isoformat(),
        }
    ).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "AiFineTune"}
    try:
        headers["X-AiFineTune-Signature"] = signature(crypto.decrypt(channels.ciphertext), body, int(time.time()))
        with outbound.client(webhook_rules(), timeout=10) as client:
            answer = client.post(channels.webhook_url, content=body, headers=headers)
    except DomainError as error:
        return error.message
    except httpx.HTTPError as error:
        return f"The host does not answer ({type(error).__name__})."
    return "" if answer.is_success else f"The host answered {answer.status_code}."


def signature(secret: str, body: bytes, now: int) -> str:
    """`t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "t.body" under the secret>`: proves sender and time."""
    mac = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256)
    return f"t={now},v1={mac.hexdigest()}"


def webhook_rules() -> outbound.Rules:
    """Any host on the public net; on private ones those that the operators allow."""
    return outbound.Rules(allowed=settings.WEBHOOK_ALLOWED_HOSTS, public=True)
