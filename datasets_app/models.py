"""Datasets: what was uploaded, what was found in it, and where its normalised rows are."""

from __future__ import annotations

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models

from datasets_app.formats.bundle import stored_suffix
from finetune.core import storage, store
from finetune.core.querysets import Lifecycle, OwnedQuerySet, StatusField

ROWS, PROBLEMS = "rows.parquet", "problems"


class Dataset(Lifecycle):
    """One version of a dataset: uploaded → validating → ready | invalid. Rows are never edited in place.

    A fix makes the next version of the same `family`; `parent` is the version it was made from. Jobs point to a version.
    """

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

    class Origin(models.TextChoices):
        UPLOAD = "upload"
        FIX = "fix"
        MIXTURE = "mixture"
        HUB = "hub", "Hub"
        COLLECTED = "collected"

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
    family = models.UUIDField(default=uuid.uuid4, db_index=True, help_text="Shared by the versions of one dataset.")
    version = models.PositiveIntegerField(default=1)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children")
    origin = models.CharField(max_length=20, choices=Origin, default=Origin.UPLOAD)
    origin_detail = models.JSONField(default=dict, blank=True, help_text="What a fix, a mixture or an import was made with.")
    splits = models.JSONField(default=dict, help_text="Split name → rows.")
    split_plan = models.JSONField(default=dict, blank=True, help_text="How the rows were divided: services/split_dataset.py.")
    checks = models.JSONField(default=dict, blank=True, help_text="{tokenizer_model_id, max_length} the rows are checked against.")
    gates = models.JSONField(null=True, blank=True, help_text="{rule: tolerated %}; null = the owner's own.")
    summary = models.JSONField(default=dict, blank=True, help_text="What one pass over the rows counted: doctor/summary.py.")
    errors = models.PositiveBigIntegerField(default=0)
    warnings = models.PositiveBigIntegerField(default=0)
    report = models.JSONField(default=dict, help_text="{valid_rows, counts: {rule: n}, problems: [...]}: see GET …/validation.")
    progress = models.JSONField(null=True, help_text="{done, total, unit, rate, eta_seconds} while work goes on.")
    # Every write of the background reader names the attempt it belongs to, so that one taken for dead can't write any more.
    attempt = models.PositiveIntegerField(default=0)
    restarts = models.PositiveIntegerField(default=0, help_text="Readings begun again because a worker was lost.")
    examined = models.BooleanField(default=True, help_text="False while the doctor looks at rows that can be used already.")
    examinations = models.PositiveIntegerField(default=0, help_text="Like `attempt`, for the doctor.")
    division = models.JSONField(null=True, blank=True, help_text="A split that is being made: services/split_dataset.py.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [models.UniqueConstraint("family", "version", name="dataset_version_once")]
        indexes = [models.Index(fields=["owner", "-created_at", "-id"], name="dataset_newest")]

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
    def is_being_divided(self) -> bool:
        return self.division is not None and "error" not in self.division

    @property
    def is_held_by_a_gate(self) -> bool:
        """The rows can be read, but more of them have a problem than is tolerated (datasets_app/gates.py)."""
        return self.status == self.Status.INVALID and "gate_failed" in self.report.get("counts", {})

    @property
    def original_name(self) -> str:
        return f"original{stored_suffix(self.source_name)}"

    @property
    def original_file(self) -> Path:
        """The uploaded bytes, unchanged. Asking for it, or for one of the following, brings it here where another machine has it."""
        return store.here(self.directory / self.original_name)

    @property
    def rows_file(self) -> Path:
        """The normalised rows (datasets_app/formats/schemas.py), Parquet."""
        return store.here(self.directory / ROWS)

    @property
    def problems_folder(self) -> Path:
        """Which rows have which problem (datasets_app/formats/problemindex.py)."""
        return store.here(self.directory / PROBLEMS)

    def split_file(self, name: str) -> Path:
        """The rows of one split, Parquet like `rows_file`; that file itself while the rows are not divided."""
        if not self.split_plan:
            return self.rows_file
        return store.here(self.directory / self.split_plan["folder"]) / f"{name}.parquet"


class SavedMapping(models.Model):
    """A mapping a person keeps under a name, to use again."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="dataset_mappings")
    name = models.CharField(max_length=100)
    mapping = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint("owner", "name", name="mapping_name_once")]

    def __str__(self) -> str:
        return self.name


class QualityGates(models.Model):
    """How many rows with which problem a person tolerates in a dataset before it counts as invalid."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quality_gates")
    gates = models.JSONField(default=dict, help_text="{rule: tolerated %}")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "quality gates"

    def __str__(self) -> str:
        return f"gates of {self.owner_id}"


class Measurement(Lifecycle):
    """The statistics of a dataset's rows under one tokenizer: queued → running → done | failed | cancelled."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="measurements")
    key = models.CharField(max_length=64, help_text="Hash of the rows, the tokenizer and the chat template.")
    model_id = models.PositiveBigIntegerField(help_text="The language model whose tokenizer it is; its app is above ours.")
    directory = models.CharField(max_length=500, help_text="Where that tokenizer lies.")
    status = StatusField(choices=Status, default=Status.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    progress = models.JSONField(null=True)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint("dataset", "key", name="measured_once")]

    def __str__(self) -> str:
        return f"{self.dataset_id} under {self.model_id}"
