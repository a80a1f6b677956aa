"""Archives of everything of one person's, for that person to take away."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from finetune.core import storage
from finetune.core.querysets import OwnedQuerySet


class DataArchive(models.Model):
    """waiting → making → ready | failed. Made by a worker (finetune.operations.services.export_data), removed when it expires."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        MAKING = "making"
        READY = "ready"
        FAILED = "failed"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="archives")
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    done = models.PositiveIntegerField(default=0, help_text="Datasets and jobs that are in it by now.")
    total = models.PositiveIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(default=timezone.now, help_text="When the worker that makes it last got on with it.")
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            # One at a time: a second request finds the first.
            models.UniqueConstraint("owner", condition=models.Q(status__in=["waiting", "making"]), name="archive_one_in_making")
        ]

    def __str__(self) -> str:
        return f"Archive of {self.owner}, {self.created_at:%Y-%m-%d}"

    @property
    def file(self) -> Path:
        return storage.archive_file(self.pk)

    @property
    def is_in_making(self) -> bool:
        return self.status in (self.Status.WAITING, self.Status.MAKING)

    @property
    def can_be_downloaded(self) -> bool:
        return self.status == self.Status.READY and self.expires_at is not None and self.expires_at > timezone.now()
