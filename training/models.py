"""Training jobs and the log of everything that happened to them."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models

from datasets_app.models import Dataset
from finetune.core import storage
from finetune.core.querysets import Lifecycle, OwnedQuerySet, StatusField
from models_app.models import LanguageModel


class JobQuerySet(OwnedQuerySet):
    def active(self) -> JobQuerySet:
        """Jobs that still need their model and data."""
        return self.filter(status__in=TrainingJob.ACTIVE)


class TrainingJob(Lifecycle):
    """draft → queued → running → succeeded | failed; running → cancelling → cancelled; queued → cancelled;
    failed | cancelled → queued (resume, next attempt). Every move is a compare-and-swap and an event with its reason.

    While it runs, one worker holds a lease; every write it makes names its attempt and lease, so that a worker
    which lost the job can't write.
    """

    class Status(models.TextChoices):
        DRAFT = "draft"
        QUEUED = "queued"
        RUNNING = "running"
        CANCELLING = "cancelling"
        CANCELLED = "cancelled"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    class Phase(models.TextChoices):
        NONE = ""
        PREPARING = "preparing"
        TRAINING = "training"
        EVALUATING = "evaluating"
        SAVING = "saving"
        EXPORTING = "exporting"
        UPLOADING = "uploading"

    ACTIVE = (Status.QUEUED, Status.RUNNING, Status.CANCELLING)
    FINISHED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs")
    name = models.CharField(max_length=200)
    status = StatusField(choices=Status, default=Status.DRAFT)
    phase = models.CharField(max_length=20, choices=Phase, blank=True, default="")
    method = models.CharField(max_length=20)
    executor = models.CharField(max_length=20, default="local")
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="jobs")
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="jobs")
    train_split = models.CharField(max_length=50, blank=True)
    eval_split = models.CharField(max_length=50, blank=True)
    config = models.JSONField(default=dict, help_text="Checked by training.engine.spec.check_config.")
    attempt = models.PositiveIntegerField(default=0)
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)

    progress = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict, help_text="Newest values: {loss, eval_loss, best_eval_loss, …}.")
    memory = models.JSONField(default=dict)
    cost = models.JSONField(default=dict)
    error = models.JSONField(null=True, help_text="{code, message, hint, log_tail} once it has failed.")
    output_model = models.OneToOneField(LanguageModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="produced_by")

    # Durability: who follows the run, until when, and how far its events are in the database.
    lease_owner = models.CharField(max_length=100, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    events_offset = models.PositiveBigIntegerField(default=0, help_text="Bytes of this attempt's events.jsonl that are rows.")
    last_seq = models.PositiveBigIntegerField(default=0)
    restarts = models.PositiveIntegerField(default=0, help_text="Attempts started by the platform after the engine was lost.")

    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["status", "queued_at"], name="job_queue")]
        constraints = [models.UniqueConstraint("owner", "idempotency_key", name="job_idempotency")]

    def __str__(self) -> str:
        return self.name

    @property
    def run_dir(self) -> Path:
        """The current attempt's run directory."""
        return storage.attempt_dir(self.pk, self.attempt)

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE

    @property
    def is_finished(self) -> bool:
        return self.status in self.FINISHED


class JobEvent(models.Model):
    """One thing that happened to a job. `seq` counts up from 1 for each job without gaps; it is the clients' cursor."""

    class Kind(models.TextChoices):
        STATUS = "status"
        PHASE = "phase"
        METRIC = "metric"
        LOG = "log"
        CHECKPOINT = "checkpoint"
        SAMPLE = "sample"
        MEMORY = "memory"
        WARNING = "warning"
        ERROR = "error"

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    attempt = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=Kind)
    time = models.DateTimeField()
    payload = models.JSONField(default=dict)

    class Meta:
        ordering = ["job", "seq"]
        constraints = [models.UniqueConstraint("job", "seq", name="event_seq_once")]
        indexes = [models.Index(fields=["job", "kind", "seq"], name="event_by_kind")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.seq} {self.kind}"

    def as_dict(self) -> dict:
        """The event as sockets and GET …/events send it."""
        return {"seq": self.seq, "kind": self.kind, "attempt": self.attempt, "time": self.time.isoformat(), **self.payload}
