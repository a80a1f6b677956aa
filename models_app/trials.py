"""What was asked of models to judge them: comparisons side by side with their votes, and evaluations over a dataset."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from datasets_app.models import Dataset
from finetune.core.querysets import Lifecycle, OwnedQuerySet, StatusField

SIDES = "ABCD"


class Comparison(models.Model):
    """One prompt put to two to four models at once. In a blind one nobody is told who answered which side before the vote."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="comparisons")
    messages = models.JSONField(help_text="The conversation all of them were asked.")
    params = models.JSONField(default=dict)
    blind = models.BooleanField(default=False)
    sides = models.JSONField(help_text="[{side, ref, name, family, model_id, failed?}] in the order shown.")
    outputs = models.JSONField(default=dict, help_text="side → {text, thinking, tokens, …, error?}, once they have answered.")
    vote = models.CharField(max_length=4, blank=True, default="", help_text="The best side, or tie, or none.")
    voted_at = models.DateTimeField(null=True, blank=True)
    kept_in = models.ForeignKey(
        Dataset,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The dataset its vote became rows of.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["owner", "vote"], name="comparison_votes")]

    def __str__(self) -> str:
        return f"comparison {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether it may be told who is who: also when there is nothing to vote on, because too few could answer."""
        return not self.blind or bool(self.vote) or (len(self.outputs) == len(self.sides) and not self.is_answered)

    @property
    def answered(self) -> list[str]:
        """The sides that gave an answer."""
        return [side["side"] for side in self.sides if side["side"] in self.outputs and not side.get("failed")]

    @property
    def is_answered(self) -> bool:
        """All have answered or said why they can't, and two answers are there to choose from."""
        return len(self.outputs) == len(self.sides) and len(self.answered) > 1

    @property
    def prompt(self) -> str:
        """The newest question."""
        return next((turn["content"] for turn in reversed(self.messages) if turn["role"] == "user"), "")


class Evaluation(Lifecycle):
    """A split of a dataset run through one version: queued → running → done | failed; queued | running → cancelled."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ACTIVE = (Status.QUEUED, Status.RUNNING)

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="evaluations")
    model = models.ForeignKey("models_app.LanguageModel", on_delete=models.CASCADE, related_name="evaluations")
    dataset = models.ForeignKey(Dataset, null=True, on_delete=models.SET_NULL, related_name="+")
    dataset_name = models.CharField(max_length=200)
    dataset_hash = models.CharField(max_length=64, blank=True)
    kind = models.CharField(max_length=20, help_text="The dataset's.")
    split = models.CharField(max_length=50, blank=True, help_text="Empty: all rows.")
    rows = models.PositiveIntegerField(help_text="How many are asked, from the first on.")
    options = models.JSONField(default=dict, help_text="{max_new_tokens, pattern, schema}")
    status = StatusField(choices=Status, default=Status.QUEUED)
    progress = models.JSONField(null=True)
    metrics = models.JSONField(default=dict, help_text="See inference/measures.py.")
    error = models.TextField(blank=True)
    attempt = models.PositiveIntegerField(default=0)
    restarts = models.PositiveSmallIntegerField(default=0, help_text="How often it was lost with its worker.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.dataset_name}{f', {self.split}' if self.split else ''}"

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE


class EvaluationSample(models.Model):
    """One row of an evaluation: what was asked, what was expected, what came, and how good that is."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="samples")
    row = models.PositiveIntegerField(help_text="Its place in the split, from 0.")
    line = models.PositiveBigIntegerField(help_text="In the uploaded file.")
    prompt = models.JSONField(default=list, help_text="The conversation before the answer; empty for plain text.")
    expected = models.TextField(blank=True)
    output = models.TextField(blank=True)
    thinking = models.TextField(blank=True)
    stop_reason = models.CharField(max_length=10, blank=True)
    nll = models.FloatField(null=True, help_text="Negative log-likelihood of the expected answer, in nats.")
    tokens = models.PositiveIntegerField(default=0, help_text="Tokens it was summed over.")
    exact = models.BooleanField(null=True)
    f1 = models.FloatField(null=True)
    rouge_l = models.FloatField(null=True)
    pattern_ok = models.BooleanField(null=True)
    schema_ok = models.BooleanField(null=True)
    prefers = models.BooleanField(null=True, help_text="Whether the chosen answer is likelier than the rejected one.")
    problem = models.TextField(blank=True, help_text="Why a check failed, or why there is no answer.")
    score = models.FloatField(db_index=True, help_text="What “worst first” sorts by: higher is better.")

    class Meta:
        ordering = ["row"]
        constraints = [models.UniqueConstraint("evaluation", "row", name="sample_once")]

    def __str__(self) -> str:
        return f"{self.evaluation_id}/{self.row}"

    @property
    def loss(self) -> float | None:
        """Mean over its tokens."""
        return self.nll / self.tokens if self.nll is not None and self.tokens else None

    def as_dict(self) -> dict[str, Any]:
        """The sample as the API shows it."""
        names = ("row", "line", "prompt", "expected", "output", "thinking", "stop_reason", "tokens", "exact", "f1", "rouge_l")
        more = ("pattern_ok", "schema_ok", "prefers", "problem", "score", "loss")
        return {name: getattr(self, name) for name in (*names, *more)}
