"""Datasets: what was uploaded, what was found in it, and where its normalised rows are."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models

from datasets_app.formats.source import suffix_of
from finetune.core import storage
from finetune.core.querysets import Lifecycle, OwnedQuerySet, StatusField


class Dataset(Lifecycle):
    """uploaded → validating → ready | invalid. Rows are never edited in place."""

    class Status(models.TextChoices):
        UPLOADED = "uploaded"
        VALIDATING = "validating"
        READY = "ready"
        INVALID = "invalid"

    class Format(models.TextChoices):
        ALPACA = "alpaca"
        SHAREGPT = "sharegpt"
        OPENAI = "openai"
        PROMPT_COMPLETION = "prompt_completion"
        TEXT = "text"
        PREFERENCE = "preference"
        KTO = "kto"

    class Kind(models.TextChoices):
        SFT = "sft"
        PREFERENCE = "preference"
        UNPAIRED = "unpaired"
        TEXT = "text"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    status = StatusField(choices=Status, default=Status.UPLOADED)
    format = models.CharField(max_length=20, choices=Format, blank=True, db_index=True)
    kind = models.CharField(max_length=20, choices=Kind, blank=True, db_index=True)
    source_name = models.CharField(
        "file name", max_length=255, help_text="As the uploader named it; only shown, never used as a path."
    )
    mapping = models.JSONField(default=dict, blank=True, help_text="Our field → their column.")
    rows = models.PositiveBigIntegerField(null=True)
    bytes = models.PositiveBigIntegerField(default=0)
    columns = models.JSONField(default=list)
    content_hash = models.CharField(max_length=64, blank=True, db_index=True, help_text="SHA-256 of the uploaded bytes.")
    version = models.PositiveIntegerField(default=1)
    splits = models.JSONField(default=dict, help_text="Split name → rows.")
    errors = models.PositiveBigIntegerField(default=0)
    warnings = models.PositiveBigIntegerField(default=0)
    report = models.JSONField(default=dict, help_text="{valid_rows, counts: {rule: n}, problems: [...]}: see GET …/validation.")
    progress = models.JSONField(null=True, help_text="{done, total, unit, rate, eta_seconds} while work goes on.")
    # Every write of the background reader names the attempt it belongs to, so that one taken for dead can't write any more.
    attempt = models.PositiveIntegerField(default=0)
    restarts = models.PositiveIntegerField(default=0, help_text="Readings begun again because a worker was lost.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def problems(self) -> dict[str, int]:
        return {"errors": self.errors, "warnings": self.warnings}

    @property
    def directory(self) -> Path:
        return storage.dataset_dir(self.pk)

    @property
    def is_busy(self) -> bool:
        """The file waits to be read or is being read."""
        return self.status in (self.Status.UPLOADED, self.Status.VALIDATING)

    @property
    def original_file(self) -> Path:
        """The uploaded bytes, unchanged."""
        return self.directory / f"original{suffix_of(self.source_name)}"

    @property
    def rows_file(self) -> Path:
        """The normalised rows (datasets_app/formats/schemas.py), Parquet."""
        return self.directory / "rows.parquet"
