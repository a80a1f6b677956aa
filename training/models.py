"""Training jobs and the log of everything that happened to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models

from datasets_app.models import Dataset
from finetune.core import storage
from finetune.core.querysets import Lifecycle, OwnedQuerySet, StatusField
from models_app.models import LanguageModel
from training import micro_batch


class JobQuerySet(OwnedQuerySet):
    def for_list(self) -> JobQuerySet:
        """With what a list shows of each: without the large columns that only a job's own page reads, and of model and dataset no
        more than what they are called."""
        own = ("config", "estimate", "inputs", "memory", "rewinds", "report_to", "tracker_places", "remote")
        related = (*self._beside("model", "id", "name", "kind", "version"), *self._beside("dataset", "id", "name"))
        return self.select_related("model", "dataset").defer(*own, *related)

    def _beside(self, relation: str, *kept: str) -> list[str]:
        """The columns of a related row but these."""
        related: Any = self.model._meta.get_field(relation).related_model
        return [f"{relation}__{field.name}" for field in related._meta.concrete_fields if field.name not in kept]

    def active(self) -> JobQuerySet:
        """Jobs that still need their model and data."""
        return self.filter(status__in=TrainingJob.ACTIVE)

    def waiting(self) -> JobQuerySet:
        """Jobs in the queue, in no order: training.queue says whose turn it is."""
        return self.filter(status=TrainingJob.Status.QUEUED)

    def running(self) -> JobQuerySet:
        """Jobs an engine works for, or should."""
        return self.filter(status__in=TrainingJob.RUNNING)


class TrainingJob(Lifecycle):
    """draft → queued → running → succeeded | failed; running → cancelling → cancelled; queued → cancelled;
    running → queued (the engine was lost: next attempt, same checkpoints); failed | cancelled → queued (resume). Every move is a compare-and-swap and an event with its reason.

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
        BUILDING = "building"
        STARTING = "starting"
        PULLING = "pulling"
        PREPARING = "preparing"
        TRAINING = "training"
        EVALUATING = "evaluating"
        SAVING = "saving"
        EXPORTING = "exporting"
        UPLOADING = "uploading"

    class Priority(models.IntegerChoices):
        LOW = -1
        NORMAL = 0
        HIGH = 1

    RUNNING = (Status.RUNNING, Status.CANCELLING)
    ACTIVE = (Status.QUEUED, *RUNNING)
    ENDED_BADLY = (Status.FAILED, Status.CANCELLED)  # and can be resumed
    FINISHED = (Status.SUCCEEDED, *ENDED_BADLY)

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
    report_to = models.JSONField(default=list, help_text="Trackers its curves are sent to: see training.tracker_models.")
    tracker_places = models.JSONField(
        default=dict, help_text="Where there, if not where the account says: training.tracker_places."
    )
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)

    progress = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict, help_text="Newest values: {loss, eval_loss, best_eval_loss, …}.")
    memory = models.JSONField(default=dict)
    cost = models.JSONField(default=dict, help_text="{estimated, actual, currency, …}: see training.money.")
    hardware = models.CharField(max_length=50, blank=True, default="", help_text="Of the provider; empty where it runs here.")
    budget = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="USD for all attempts; the run is stopped when it is used up.",
    )
    keep_remote = models.BooleanField(default=False, help_text="Leave what the provider holds, stopped, when the run has ended.")
    remote = models.JSONField(default=dict, help_text="{url, key}: where the provider shows the current attempt.")
    estimate = models.JSONField(null=True, blank=True, help_text="What was foreseen when it was first queued: see POST …/estimate.")
    inputs = models.JSONField(
        default=dict, help_text="Fingerprints of data and base when it was first queued: see training.fingerprints."
    )
    reproduces = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reproductions")
    weights_sha256 = models.CharField(max_length=64, blank=True, default="", help_text="Of the finished weights.")
    rewinds = models.JSONField(
        default=list, help_text="[{attempt, step, from_attempt}]: attempts told to go on from a named checkpoint."
    )
    error = models.JSONField(null=True, help_text="{code, message, hint, log_tail} once it has failed.")
    output_model = models.OneToOneField(LanguageModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="produced_by")

    # Durability: who follows the run, until when, and how far its events are in the database.
    lease_owner = models.CharField(max_length=100, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    events_offset = models.PositiveBigIntegerField(default=0, help_text="Bytes of this attempt's events.jsonl that are rows.")
    last_seq = models.PositiveBigIntegerField(default=0)
    restarts = models.PositiveIntegerField(default=0, help_text="Attempts started by the platform after the engine was lost.")
    memory_retries = models.PositiveIntegerField(
        default=0, help_text="How often the batch size was lowered after memory ran out: see training.micro_batch."
    )

    # Whose turn it is: see training.queue.
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL)
    interrupted = models.BooleanField(default=False, help_text="It ran, was given back to the queue, and goes on before others.")
    moved_up_at = models.DateTimeField(null=True, blank=True, help_text="When an operator put it before the others.")
    reserved_on = models.CharField(
        max_length=100, blank=True, default="", help_text="The machine that keeps its free devices until there are enough for it."
    )
    reserved_until = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["owner", "finished_at"], name="job_by_end"),
            models.Index(fields=["status", "queued_at"], name="job_queue"),
            models.Index(fields=["owner", "started_at"], name="job_last_turn"),
            models.Index(fields=["owner", "-created_at", "-id"], name="job_newest"),
            models.Index(fields=["owner", "status"], name="job_by_status"),
            models.Index(fields=["status", "-finished_at", "-id"], name="job_newest_ended"),
        ]
        constraints = [models.UniqueConstraint("owner", "idempotency_key", name="job_idempotency")]

    def __str__(self) -> str:
        return self.name

    @property
    def run_dir(self) -> Path:
        """The current attempt's run directory."""
        return storage.attempt_dir(self.pk, self.attempt)

    @property
    def fitted_config(self) -> dict:
        """The config its attempts run with now: with a lower batch size once memory ran out."""
        return micro_batch.fitted(self.config, self.memory_retries)

    @property
    def queue_position(self) -> int | None:
        """1 = next to run; None when it does not wait. Lists look it up for all rows at once: training.queue.with_positions."""
        if self.status != self.Status.QUEUED:
            return None
        if "position" not in self.__dict__:
            from training.queue import positions  # it reads these models

            return positions(self.executor).get(self.pk)
        return self.__dict__["position"]

    @property
    def devices_wanted(self) -> int:
        """How many devices it asks for at once."""
        return int(self.config.get("num_gpus") or 1)

    @property
    def reproduced_exactly(self) -> bool | None:
        """Whether a reproduction's weights are those of its original; None while one of the two has none."""
        original = self.reproduces
        if original is None or not (self.weights_sha256 and original.weights_sha256):
            return None
        return self.weights_sha256 == original.weights_sha256

    def alike(self, **values: Any) -> TrainingJob:
        """An unsaved job of the same owner with the same model, data, method and options; `values` say what differs."""
        same = (
            "owner",
            "model",
            "dataset",
            "method",
            "executor",
            "train_split",
            "eval_split",
            "config",
            "hardware",
            "budget",
            "keep_remote",
            "report_to",
            "tracker_places",
        )
        return TrainingJob(**{name: getattr(self, name) for name in same}, **values)

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE

    @property
    def is_finished(self) -> bool:
        return self.status in self.FINISHED


class DeviceHold(models.Model):
    """A device of a machine that a running job has to itself. The constraint is what keeps two jobs off one device."""

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="device_holds")
    machine = models.CharField(max_length=100)
    device = models.CharField(max_length=50, help_text="As CUDA_VISIBLE_DEVICES names it.")

    class Meta:
        constraints = [models.UniqueConstraint("machine", "device", name="device_once")]

    def __str__(self) -> str:
        return f"{self.machine} {self.device}"


class QueuePause(models.Model):
    """A queue from which nothing new is taken until an operator opens it again."""

    executor = models.CharField(max_length=20, unique=True)
    reason = models.CharField(max_length=300, blank=True)
    paused_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    paused_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.executor}: {self.reason}"


class DrainedWorker(models.Model):
    """A worker that finishes what it follows and takes nothing new, also after a restart."""

    name = models.CharField(max_length=200, unique=True, help_text="The Celery node: train@host.")
    drained_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    drained_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class HardwarePrice(models.Model):
    """What a provider's machine costs, where that is known better than from training.price_list. The operator's word stays when
    prices are read anew."""

    class Source(models.TextChoices):
        PROVIDER = "provider", "told by the provider"
        OPERATOR = "operator", "set by the operator"

    executor = models.CharField(max_length=20)
    hardware = models.CharField(max_length=50, help_text="The provider's name for it.")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, default="cuda")
    memory_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text="Of one accelerator.")
    count = models.PositiveIntegerField(default=1)
    usd_per_hour = models.DecimalField(max_digits=10, decimal_places=4)
    source = models.CharField(max_length=10, choices=Source, default=Source.OPERATOR)
    as_of = models.DateTimeField()

    class Meta:
        ordering = ["executor", "usd_per_hour"]
        constraints = [models.UniqueConstraint("executor", "hardware", name="hardware_price_once")]

    def __str__(self) -> str:
        return f"{self.executor} {self.hardware}: {self.usd_per_hour} USD/h"

    @property
    def source_words(self) -> str:
        return self.Source(self.source).label


class JobTemplate(models.Model):
    """A method and its options under a name, to begin a job from. The built-in ones are in training.builtin_templates."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="job_templates")
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=500, blank=True)
    method = models.CharField(max_length=20)
    config = models.JSONField(default=dict, help_text="Only what differs from the method's defaults.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint("owner", "name", name="template_name_once")]

    def __str__(self) -> str:
        return self.name


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


class MetricChunk(models.Model):
    """A few thousand metric events of one attempt in one row, instead of a row each: see training.metric_chunks (docs/adr/0008).

    Once a chunk is there, its events are no JobEvents any more; whoever reads events reads both.
    """

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="metric_chunks")
    attempt = models.PositiveIntegerField()
    first_seq = models.PositiveBigIntegerField()
    last_seq = models.PositiveBigIntegerField()
    count = models.PositiveIntegerField()
    last_steps = models.JSONField(default=dict, help_text="{split: its last step in this chunk}.")
    spark = models.JSONField(default=list, help_text="A few losses of the train split, for a small picture.")
    points = models.BinaryField(help_text="Parquet: every event, losslessly.")
    sketch = models.BinaryField(help_text="The few that draw the same curve.")

    class Meta:
        ordering = ["job", "first_seq"]
        constraints = [models.UniqueConstraint("job", "first_seq", name="chunk_once")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.first_seq}–{self.last_seq}"


from training.tracker_models import JobDefaults, TrackerRun  # noqa: E402, F401 - their tables are this app's
