"""Where a person wants to be told things."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from django.conf import settings

from accounts import audit
from accounts.models import User
from accounts.notice_models import Notification, NotificationChannels
from accounts.services.notify import webhook_rules
from finetune.core import crypto, outbound
from finetune.core.errors import DomainError, invalid_field


def save_channels(
    *, user: User, kinds: Collection[str], email: bool = False, webhook_url: str = ""
) -> tuple[NotificationChannels, str]:
    """Store them. The second value is the key that webhooks are signed with when a new one was made (another address), else "".

    Refuses (Invalid) unknown kinds, e-mail where the installation can send none, and an address that may not be called.
    """
    if unknown := set(kinds) - set(Notification.Kind.values):
        raise invalid_field("kinds", f"There is no kind “{sorted(unknown)[0]}”.")
    if email and not settings.EMAIL_HOST:
        raise invalid_field("email", "This installation sends no e-mail. An operator has to set EMAIL_HOST.")
    webhook_url = webhook_url.strip()
    if webhook_url:
        try:
            outbound.check_url(webhook_url, webhook_rules())
        except DomainError as error:
            raise invalid_field("webhook_url", error.message, code=error.code) from None
    channels = NotificationChannels.objects.filter(owner=user).first() or NotificationChannels(owner=user)
    secret = secrets.token_urlsafe(32) if webhook_url and webhook_url != channels.webhook_url else ""
    if secret or not webhook_url:
        channels.ciphertext = crypto.encrypt(secret) if secret else ""
    channels.kinds, channels.email, channels.webhook_url = sorted(kinds), email, webhook_url
    channels.save()
    audit.record("change notification channels", actor=user, target=user, email=email, webhook=bool(webhook_url))
    return channels, secret
