"""Where a job's curves are also sent: one row for each job and tracker (docs/adr/0010)."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


def _key() -> str:
    return f"aift-{uuid.uuid4().hex[:20]}"


class TrackerRun(models.Model):
    """How far a job is sent. Everything is read from the recorded events, so a worker that dies leaves nothing half known: the next
    one sends the same points again, which changes nothing there."""

    job = models.ForeignKey("training.TrainingJob", on_delete=models.CASCADE, related_name="tracker_runs")
    kind = models.CharField(max_length=10, help_text="wandb or mlflow.")
    key = models.CharField(
        max_length=30, default=_key, help_text="What the run is called there, or tagged with; made before it is."
    )
    place = models.JSONField(default=dict, help_text="Ids of the run there, once it is made.")
    url = models.CharField(max_length=600, blank=True, help_text="Its page for people.")
    sent_seq = models.PositiveBigIntegerField(default=0, help_text="The last event that is there.")
    sent_points = models.PositiveBigIntegerField(default=0, help_text="Lines of history that are there.")
    done = models.BooleanField(default=False, help_text="Everything is there, or it was given up.")
    error = models.CharField(max_length=300, blank=True)
    tries = models.PositiveIntegerField(default=0, help_text="Times in a row that the tracker did not answer.")
    next_at = models.DateTimeField(default=timezone.now)

    name = ""  # in words, where a page shows it

    class Meta:
        constraints = [models.UniqueConstraint("job", "kind", name="tracker_once_a_job")]
        indexes = [models.Index(fields=["done", "next_at"], name="tracker_due")]

    def __str__(self) -> str:
        return f"{self.job_id} at {self.kind}"


class JobDefaults(models.Model):
    """What one person's new jobs begin with, below a template and what is said for the job itself."""

    owner = models.OneToOneField("accounts.User", on_delete=models.CASCADE, related_name="job_defaults")
    method = models.CharField(max_length=20, blank=True)
    executor = models.CharField(max_length=20, blank=True)
    hardware = models.CharField(max_length=50, blank=True)
    report_to = models.JSONField(default=list)
    config = models.JSONField(default=dict, help_text="Options of any method; a job takes those that mean something to its own.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "job defaults"

    def __str__(self) -> str:
        return f"Defaults of {self.owner_id}"
