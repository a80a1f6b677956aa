"""A new person. The first of an installation owns it."""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.access_models import Invitation, digest_of
from accounts.models import User
from accounts.services.check_account import check_account
from finetune.core.errors import Conflict, Forbidden, invalid_field


def register_user(*, username: str, email: str, password: str, invitation: str = "") -> User:
    """Create an account; the first one becomes owner and operator of the installation (is_owner, is_staff, is_superuser).

    Refuses (Invalid, by field) a username with other signs than letters, digits and . + - _, a username or e-mail
    address that is taken in whatever case, and a password that is short, common, numeric or like the username. Forbidden where
    registration is closed, or open to invited people only and `invitation` (the secret of the link) is not a good one.
    """
    invited = _invitation(invitation, email)
    user = User(username=username.strip(), email=User.objects.normalize_email(email.strip()))
    check_account(user=user, password=password)
    user.set_password(password)
    if not User.objects.exists() and _saved(user, first=True):
        return user
    if _saved(user, first=False, invited=invited):
        return user
    check_account(user=user)  # somebody took the name since the first check: says which
    raise Conflict("Somebody else registered at the same moment. Try again.")


def may_register(invitation: str = "") -> bool:
    """Whether a visitor with this invitation (or none) gets the form at all."""
    if settings.REGISTRATION == "open" or not User.objects.exists():
        return True
    return settings.REGISTRATION == "invitation" and _find(invitation) is not None


def _find(secret: str) -> Invitation | None:
    """The unused invitation with this secret, if it is still good."""
    good = Invitation.objects.filter(used_at=None, expires_at__gt=timezone.now())
    return good.filter(digest=digest_of(secret)).first() if secret else None


def _invitation(secret: str, email: str) -> Invitation | None:
    """The good invitation that was given, if any; Forbidden where one is needed. Also where registration is open it may make
    an operator."""
    if not User.objects.exists():
        return None
    if settings.REGISTRATION == "closed":
        raise Forbidden("Registration is closed here. Ask an operator for an account.", code="registration_closed")
    found = _find(secret)
    if found is None and settings.REGISTRATION == "invitation":
        raise Forbidden("An invitation is needed here. Ask an operator for one.", code="invitation_needed")
    if found is not None and found.email and found.email.lower() != email.strip().lower():
        raise invalid_field("email", "This invitation is for another e-mail address.")
    return found


def _saved(user: User, *, first: bool, invited: Invitation | None = None) -> bool:
    """Insert; False when a constraint forbids it (another first visitor won, or the name was taken meanwhile)."""
    user.pk = None
    user.is_owner = first
    user.is_staff = user.is_superuser = first or bool(invited and invited.operator)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            if invited and not Invitation.objects.filter(pk=invited.pk, used_at=None).update(used_by=user, used_at=timezone.now()):
                raise Forbidden("This invitation has just been used.", code="invitation_needed")
    except IntegrityError:
        user.pk = None
        return False
    audit.record("register", actor=user, target=user, invitation=invited.pk if invited else None)
    return True
