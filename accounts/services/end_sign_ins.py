"""Sign out elsewhere: sessions of browsers and sign-ins of scripts."""

from __future__ import annotations

from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts import audit, sessions
from accounts.access_models import BrowserSession, TokenFamily
from accounts.models import User
from finetune.core.errors import Invalid


def end_sign_ins(
    *, user: User, session: int | None = None, family: int | None = None, all_but: str | None = None, everything: bool = False
) -> int:
    """End one browser's session, one API sign-in (ids), or everything; `all_but` keeps the session with this key.

    Returns how many ended. What is not this person's, or is over already, counts for nothing. Invalid when nothing is named.
    """
    if session is not None:
        browsers, families = BrowserSession.objects.for_user(user).filter(pk=session), TokenFamily.objects.none()
    elif family is not None:
        browsers, families = BrowserSession.objects.none(), TokenFamily.objects.for_user(user).filter(pk=family)
    elif everything or all_but is not None:
        browsers = BrowserSession.objects.for_user(user).exclude(session_key=all_but or "")
        families = TokenFamily.objects.for_user(user)
        _end_refresh_tokens(user)
    else:
        raise Invalid("Say which sign-in should end.")
    ended = sessions.end(browsers) + families.filter(ended_at=None).update(ended_at=timezone.now())
    if ended:
        audit.record("end sign-ins", actor=user, target=user, number=ended)
    return ended


def _end_refresh_tokens(user: User) -> None:
    """Access tokens end with their family (accounts.authentication) and, at a change of password, by themselves."""
    live = OutstandingToken.objects.filter(user=user, blacklistedtoken=None)
    BlacklistedToken.objects.bulk_create([BlacklistedToken(token=token) for token in live], ignore_conflicts=True)
