"""Keeps BrowserSession rows beside Django's sessions: made at sign-in, touched now and then, gone at sign-out."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.dispatch import receiver
from django.http import HttpRequest  # noqa: TID251 (a middleware)
from django.utils import timezone

from accounts.access_models import BrowserSession
from accounts.models import User
from finetune.core.middleware import Around

TOUCH_SECONDS = 300
SEEN = "seen_at"


@receiver(user_logged_in)
def _began(request: Any, user: User, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if session is None:
        return
    session[SEEN] = int(time.time())
    if not session.session_key:
        session.save()
    BrowserSession.objects.update_or_create(session_key=session.session_key, defaults={"owner": user, **described(request)})


@receiver(user_logged_out)
def _ended(request: Any, **kwargs: Any) -> None:
    if key := getattr(getattr(request, "session", None), "session_key", None):
        BrowserSession.objects.filter(session_key=key).delete()


def described(request: Any) -> dict[str, str]:
    """What a request tells of its device."""
    meta = request.META
    return {"user_agent": meta.get("HTTP_USER_AGENT", "")[:300], "address": meta.get("REMOTE_ADDR", "")[:64]}


def rename(old_key: str | None, new_key: str | None) -> None:
    """The session goes on under another key (after a change of password)."""
    if old_key and new_key:
        BrowserSession.objects.filter(session_key=old_key).update(session_key=new_key)


def end(sessions: Any) -> int:
    """Sign these BrowserSession rows out: the browsers behind them have to sign in again."""
    keys = list(sessions.values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    sessions.delete()
    return len(keys)


class NoteSessions(Around):
    """Writes down every few minutes that a session is in use, and from where."""

    def process_view(self, request: HttpRequest, *args: Any) -> None:
        if request.session.session_key and request.user.is_authenticated:
            touch(request)


def touch(request: Any) -> None:
    """Note this use, if the last note is old; costs nothing otherwise."""
    session = request.session
    now = int(time.time())
    if now - int(session.get(SEEN) or 0) < TOUCH_SECONDS:
        return
    session[SEEN] = now
    values = {"owner": request.user, "seen_at": timezone.now(), **described(request)}
    BrowserSession.objects.update_or_create(session_key=session.session_key, defaults=values)
