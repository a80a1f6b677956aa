"""Language models: bases from the Hub or the sample, and the versions our jobs made of them; how they are judged is in trials.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models

from finetune.core import storage, store
from finetune.core.querysets import Lifecycle, OwnedQuerySet, StatusField
from models_app.trials import Comparison, Evaluation, EvaluationSample

__all__ = ["Comparison", "Evaluation", "EvaluationSample", "Export", "LanguageModel", "OllamaCopy", "OllamaServer"]
MANIFEST = "manifest.json"


class LanguageModel(Lifecycle):
    """remote → downloading → ready | failed. A fine-tuned model is version 1, 2, … of its family."""

    class Kind(models.TextChoices):
        BASE = "base"
        FINE_TUNED = "fine_tuned", "Fine-tuned"
        MERGED = "merged"

    class Source(models.TextChoices):
        HUB = "hub"
        TRAINING = "training"
        UPLOAD = "upload"
        SAMPLE = "sample"

    class Status(models.TextChoices):
        REMOTE = "remote"
        DOWNLOADING = "downloading"
        READY = "ready"
        FAILED = "failed"

    class Push(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="language_models")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, choices=Kind, db_index=True)
    source = models.CharField(max_length=20, choices=Source)
    status = StatusField(choices=Status, default=Status.REMOTE)
    repo_id = models.CharField(max_length=200, blank=True)
    revision = models.CharField(max_length=64, blank=True, help_text="Hub commit.")
    family = models.CharField(max_length=200, db_index=True, help_text="Versions of one family count up together.")
    version = models.PositiveIntegerField(default=1)
    version_tag = models.CharField(max_length=50, blank=True)
    version_notes = models.TextField(blank=True)
    is_latest = models.BooleanField(default=True, db_index=True)
    base_model = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="derived")
    method = models.CharField(max_length=20, blank=True)
    adapter = models.BooleanField(default=False, help_text="Only the adapter is stored; the base model completes it.")
    # Which run made it, so that registering the same run twice gives the same row.
    origin = models.CharField(max_length=100, unique=True, null=True, blank=True)
    path = models.CharField(max_length=500, blank=True, help_text="Directory with the weights; relative ones lie under DATA_DIR.")
    parameters = models.PositiveBigIntegerField(null=True)
    architecture = models.CharField(max_length=100, blank=True)
    dtype = models.CharField(max_length=20, blank=True)
    bytes = models.PositiveBigIntegerField(default=0)
    license = models.CharField(max_length=100, blank=True)
    context_length = models.PositiveIntegerField(null=True)
    metrics = models.JSONField(default=dict)
    progress = models.JSONField(null=True)
    error = models.TextField(blank=True, help_text="Why it failed, in words.")
    restarts = models.PositiveSmallIntegerField(default=0, help_text="How often its download was lost with its worker.")
    push_status = StatusField(choices=Push, blank=True, default="")
    push = models.JSONField(default=dict, help_text="The last push to the Hub: repo_id, private, merge, commit, error.")
    ollama_name = models.CharField(max_length=200, blank=True)
    hub_url = models.URLField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [models.UniqueConstraint("owner", "family", "version", name="model_version_once")]
        indexes = [models.Index(fields=["owner", "-created_at", "-id"], name="model_newest")]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}" if self.kind != self.Kind.BASE else self.name

    @property
    def shown_status(self) -> str:
        """The status for people: the sample is made here, not downloaded."""
        making = self.source == self.Source.SAMPLE and self.status == self.Status.DOWNLOADING
        return "making" if making else self.status

    @property
    def busy(self) -> bool:
        """Something is going on that moves `progress`."""
        return self.status == self.Status.DOWNLOADING or self.push_status in (self.Push.QUEUED, self.Push.RUNNING)

    @property
    def place(self) -> Path:
        """Where the weights (or the adapter) lie; absolute."""
        return settings.DATA_DIR / self.path if self.path else storage.model_dir(self.pk)

    @property
    def directory(self) -> Path:
        """The same, for reading: asking for it brings them here where another machine has them."""
        return store.here(self.place)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run that made it recorded about itself; empty where there is nothing to read."""
        try:
            found = json.loads(store.read_text(self.place, MANIFEST))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def whole(self) -> LanguageModel:
        """The model with all the weights: an adapter's base, else itself."""
        return self.base_model if self.adapter and self.base_model else self

    @property
    def job(self) -> int | None:
        """The id of the job that made it (training.TrainingJob points here)."""
        made_by = getattr(self, "produced_by", None)
        return made_by.pk if made_by else None


class Export(Lifecycle):
    """Files of a model in another form, made once and kept with it: queued → running → ready | failed | cancelled."""

    class Format(models.TextChoices):
        ADAPTER = "adapter"
        MERGED = "merged"
        GGUF = "gguf", "GGUF"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"
        CANCELLED = "cancelled"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="model_exports")
    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(max_length=20, choices=Format)
    quantization = models.CharField(max_length=20, blank=True, help_text="Number format; empty keeps the model's own.")
    status = StatusField(choices=Status, default=Status.QUEUED)
    progress = models.JSONField(null=True)
    error = models.TextField(blank=True, help_text="Why it failed, in words.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often a worker has begun it.")
    files = models.JSONField(default=list, help_text="[{path, bytes, sha256}]")
    bytes = models.PositiveBigIntegerField(default=0)
    checks = models.JSONField(default=dict, help_text="How the merged weights compare with base and adapter.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [models.UniqueConstraint("model", "format", "quantization", name="export_once")]

    def __str__(self) -> str:
        return " ".join(word for word in (str(self.model), self.get_format_display(), self.quantization) if word)

    @property
    def busy(self) -> bool:
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)

    @property
    def place(self) -> Path:
        """Where the files lie; absolute."""
        return storage.export_dir(self.pk)

    @property
    def directory(self) -> Path:
        """The same, for reading: asking for it brings them here where another machine has them."""
        return store.here(self.place)


class OllamaServer(models.Model):
    """Which Ollama server a person's models go to; without a row it is the installation's (OLLAMA_HOST)."""

    owner = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ollama_server")
    url = models.CharField(max_length=300)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.url


class OllamaCopy(Lifecycle):
    """A model that we made in an Ollama server: queued → running → ready | failed; queued | running → cancelled."""

    class Route(models.TextChoices):
        GGUF = "gguf", "GGUF"
        SAFETENSORS = "safetensors"
        ADAPTER = "adapter"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"
        CANCELLED = "cancelled"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ollama_copies")
    # What we made stays listed, and removable there, when our model is deleted.
    model = models.ForeignKey(LanguageModel, null=True, on_delete=models.SET_NULL, related_name="ollama_copies")
    made_of = models.CharField(max_length=250, help_text="The model's name and version.")
    server = models.CharField(max_length=300)
    name = models.CharField(max_length=200)
    route = models.CharField(max_length=20, choices=Route)
    status = StatusField(choices=Status, default=Status.QUEUED)
    wanted = models.JSONField(default=dict, help_text="{quantization, system, template, parameters, export?}")
    progress = models.JSONField(null=True)
    error = models.TextField(blank=True, help_text="Why it failed, in words.")
    tries = models.PositiveSmallIntegerField(default=0)
    made = models.BooleanField(default=False, help_text="There was a moment when this name in the server was ours.")
    proof = models.JSONField(default=dict, help_text="The test prompt, our greedy answer and Ollama's.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-updated_at", "-pk"]
        verbose_name_plural = "Ollama copies"
        constraints = [models.UniqueConstraint("owner", "server", "name", name="ollama_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def busy(self) -> bool:
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)
