"""What people are told, and where they want to be told it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from finetune.core.querysets import OwnedQuerySet


class Notification(models.Model):
    """One thing a person is told. The row is what the page shows; e-mail and webhook are sent from it."""

    class Kind(models.TextChoices):
        JOB_SUCCEEDED = "job_succeeded", "A job succeeded"
        JOB_FAILED = "job_failed", "A job failed"
        DOWNLOAD_DONE = "download_done", "A download is done"
        DOWNLOAD_FAILED = "download_failed", "A download failed"
        BUDGET_WARNING = "budget_warning", "A job's budget is nearly used up"
        BUDGET_USED_UP = "budget_used_up", "A job stops because its budget is used up"
        ARCHIVE_READY = "archive_ready", "The archive of my data is ready"
        TEST = "test", "A test"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=20, choices=Kind)
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=500, blank=True)
    path = models.CharField(max_length=300, blank=True, help_text="The page it is about.")
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)
    emailed_at = models.DateTimeField(null=True, blank=True)
    webhook_tries = models.PositiveSmallIntegerField(default=0)
    webhook_sent_at = models.DateTimeField(null=True, blank=True)
    webhook_error = models.CharField(max_length=300, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["owner", "read_at"], name="notification_unread")]

    def __str__(self) -> str:
        return self.title


class NotificationChannels(models.Model):
    """Where this person wants notifications beside the page, and which."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="channels")
    kinds = models.JSONField(default=list, help_text="Kinds that are sent by e-mail and webhook.")
    email = models.BooleanField(default=False)
    webhook_url = models.CharField(max_length=500, blank=True)
    ciphertext = models.TextField(blank=True, help_text="The key that webhooks are signed with, encrypted.")

    class Meta:
        verbose_name_plural = "notification channels"

    def __str__(self) -> str:
        return f"Channels of {self.owner}"
