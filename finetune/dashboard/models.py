"""One narrow row for each job that has ended, so that a hundred thousand of them can be added up while a page is asked for."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from finetune.core.querysets import OwnedQuerySet
from models_app.models import LanguageModel
from training.models import TrainingJob


class JobOutcome(models.Model):
    """How a job ended the last time. Copied from the job by gather_outcomes; gone with it."""

    job = models.OneToOneField(TrainingJob, on_delete=models.CASCADE, primary_key=True, related_name="outcome")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    finished_at = models.DateTimeField()
    day = models.DateField(help_text="Of finished_at, UTC.")
    status = models.CharField(max_length=20)
    method = models.CharField(max_length=20)
    executor = models.CharField(max_length=20)
    device = models.CharField(max_length=100, blank=True)
    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="+")
    seconds = models.FloatField(default=0, help_text="Of training steps.")
    tokens = models.BigIntegerField(default=0)
    loss = models.FloatField(null=True, help_text="The last one.")
    eval_loss = models.FloatField(null=True, help_text="The best one.")
    cost = models.FloatField(default=0, help_text="USD")
    foreseen_low = models.FloatField(null=True, help_text="Seconds.")
    foreseen_high = models.FloatField(null=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["owner", "day", "status", "tokens"], name="outcome_by_day"),
            models.Index(fields=["owner", "finished_at"], name="outcome_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.status}"
