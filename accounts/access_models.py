"""How people get in, and what is written down about it."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from finetune.core.querysets import OwnedQuerySet


def digest_of(secret: str) -> str:
    """What is stored instead of a secret of ours. They have 256 random bits, so that a plain hash suffices."""
    return hashlib.sha256(secret.encode()).hexdigest()


class BrowserSession(models.Model):
    """What is known about a session of the pages; Django's own row holds its contents."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="browser_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    user_agent = models.CharField(max_length=300, blank=True)
    address = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(default=timezone.now)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-seen_at"]

    def __str__(self) -> str:
        return f"{self.owner}, {self.user_agent[:40]}"


class TokenFamily(models.Model):
    """A sign-in through the API with all the refresh tokens that came of it, one after the other."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="token_families")
    name = models.CharField(max_length=32, unique=True, help_text="The claim `family` of its tokens.")
    user_agent = models.CharField(max_length=300, blank=True)
    address = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-seen_at"]
        verbose_name_plural = "token families"

    def __str__(self) -> str:
        return f"{self.owner}, {self.user_agent[:40]}"


class ApiKey(models.Model):
    """A key for scripts. Only its hash is kept; `prefix` is what people recognise it by."""

    class Scope(models.TextChoices):
        READ = "read"
        WRITE = "write"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


def _in_two_weeks() -> Any:
    return timezone.now() + timedelta(days=14)


class Invitation(models.Model):
    """Lets one person register where registration is by invitation. Only the hash of its link is kept."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    email = models.EmailField(blank=True, help_text="Who it is for. With an address, only this address can register with it.")
    operator = models.BooleanField(default=False, help_text="The new person becomes an operator.")
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(default=_in_two_weeks)
    used_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"Invitation for {self.email or 'anybody'}"

    def renew_secret(self) -> str:
        """A new secret for its link; the row keeps the hash (unsaved)."""
        secret = secrets.token_urlsafe(32)
        self.digest = digest_of(secret)
        return secret


class AuditEntry(models.Model):
    """Who did what. Written by accounts.audit and changed by nobody; survives the people it names."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=60, db_index=True)
    target = models.CharField(max_length=300, blank=True)
    address = models.CharField(max_length=64, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "audit log"
        indexes = [models.Index(fields=["actor", "at"], name="audit_by_actor")]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name or 'nobody'}"
