"""A job, its events and its checkpoints as OpenAI's objects."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from finetune.openai.hyperparameters import their_hyperparameters, their_method
from finetune.openai.integrations import their_integrations
from finetune.openai.shapes import constant, seconds
from training.models import JobEvent, TrainingJob

Status, Kind = TrainingJob.Status, JobEvent.Kind
STATUS = {Status.DRAFT: "queued", Status.CANCELLING: "running"}
SHOWN = (Kind.STATUS, Kind.PHASE, Kind.METRIC, Kind.LOG, Kind.CHECKPOINT, Kind.WARNING, Kind.ERROR)
LEVELS = {Kind.WARNING: "warn", Kind.ERROR: "error"}


class JobErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()
    param = serializers.CharField(allow_null=True)

    class Meta:
        ref_name = "OpenAIJobError"


class JobSerializer(serializers.Serializer):
    id = serializers.CharField()
    object = constant("fine_tuning.job")
    created_at = serializers.IntegerField()
    finished_at = serializers.IntegerField(allow_null=True)
    estimated_finish = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(["queued", "running", "succeeded", "failed", "cancelled"])
    model = serializers.CharField()
    fine_tuned_model = serializers.CharField(allow_null=True)
    training_file = serializers.CharField()
    validation_file = serializers.CharField(allow_null=True)
    method = serializers.DictField()
    hyperparameters = serializers.DictField()
    seed = serializers.IntegerField()
    trained_tokens = serializers.IntegerField(allow_null=True)
    organization_id = serializers.CharField()
    result_files = serializers.ListField(child=serializers.CharField())
    integrations = serializers.ListField(child=serializers.DictField(), help_text="Trackers; an empty project is your account's.")
    user_provided_suffix = serializers.CharField(allow_null=True)
    error = JobErrorSerializer(allow_null=True)

    class Meta:
        ref_name = "OpenAIJob"


class _List(serializers.Serializer):
    object = constant("list")
    has_more = serializers.BooleanField()
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)


class JobListSerializer(_List):
    data = JobSerializer(many=True)  # type: ignore[assignment]

    class Meta:
        ref_name = "OpenAIJobList"


class EventSerializer(serializers.Serializer):
    id = serializers.CharField()
    object = constant("fine_tuning.job.event")
    created_at = serializers.IntegerField()
    level = serializers.ChoiceField(["info", "warn", "error"])
    type = serializers.ChoiceField(["message", "metrics"])
    message = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]

    class Meta:
        ref_name = "OpenAIEvent"


class EventListSerializer(_List):
    data = EventSerializer(many=True)  # type: ignore[assignment]

    class Meta:
        ref_name = "OpenAIEventList"


class CheckpointSerializer(serializers.Serializer):
    id = serializers.CharField()
    object = constant("fine_tuning.job.checkpoint")
    created_at = serializers.IntegerField()
    fine_tuning_job_id = serializers.CharField()
    fine_tuned_model_checkpoint = serializers.CharField(help_text="Usable as `model` of a chat completion.")
    step_number = serializers.IntegerField()
    metrics = serializers.DictField()

    class Meta:
        ref_name = "OpenAICheckpoint"


class CheckpointListSerializer(_List):
    data = CheckpointSerializer(many=True)  # type: ignore[assignment]

    class Meta:
        ref_name = "OpenAICheckpointList"


def job_object(job: TrainingJob) -> dict[str, Any]:
    eta = job.progress.get("eta_seconds") if job.status == Status.RUNNING else None
    return {
        "id": f"ftjob-{job.pk}",
        "object": "fine_tuning.job",
        "created_at": seconds(job.created_at),
        "finished_at": seconds(job.finished_at),
        "estimated_finish": None if eta is None else int(timezone.now().timestamp() + eta),
        "status": STATUS.get(Status(job.status), job.status),
        "model": f"model-{job.model_id}",
        "fine_tuned_model": f"model-{job.output_model_id}" if job.output_model_id else None,
        "training_file": f"file-{job.dataset_id}",
        "validation_file": None,
        "method": their_method(job.method, job.config),
        "hyperparameters": their_hyperparameters(job.method, job.config),
        "seed": job.config.get("seed", 0),
        "trained_tokens": _trained_tokens(job),
        "organization_id": job.owner.username,
        "result_files": [],
        "integrations": their_integrations(job),
        "user_provided_suffix": job.name,
        "error": _error(job),
    }


def _trained_tokens(job: TrainingJob) -> int | None:
    tokens = job.metrics.get("num_tokens")
    return int(tokens) if tokens is not None else None


def _error(job: TrainingJob) -> dict[str, Any] | None:
    if not job.error:
        return None
    words = " ".join(filter(None, (job.error.get("message"), job.error.get("hint"))))
    return {"code": job.error.get("code") or "failed", "message": words, "param": None}


def event_object(event: JobEvent) -> dict[str, Any]:
    metrics = event.kind == Kind.METRIC
    return {
        "id": f"ftevent-{event.job_id}-{event.seq}",
        "object": "fine_tuning.job.event",
        "created_at": seconds(event.time),
        "level": LEVELS.get(Kind(event.kind), "info"),
        "type": "metrics" if metrics else "message",
        "message": _words(event),
        "data": _numbers(event) if metrics else {"kind": event.kind},
    }


def _words(event: JobEvent) -> str:
    payload = event.payload
    if event.kind == Kind.METRIC:
        loss = (payload.get("values") or {}).get("loss")
        return f"Step {payload.get('step')}: {payload.get('split', 'train')} loss {loss}"
    if event.kind == Kind.CHECKPOINT:
        return f"Checkpoint of step {payload.get('step')} saved"
    if event.kind == Kind.STATUS:
        return f"{payload.get('status', '')}: {payload.get('reason', '')}".strip(": ")
    return str(payload.get("message") or payload.get("text") or payload.get("phase") or event.kind)


def _numbers(event: JobEvent) -> dict[str, Any]:
    """`train_loss`, `valid_loss` and the rest of one point."""
    values, evaluating = dict(event.payload.get("values") or {}), event.payload.get("split") != "train"
    if "loss" in values:
        values["valid_loss" if evaluating else "train_loss"] = values.pop("loss")
    return {"step": event.payload.get("step"), **values}


def checkpoint_object(job: TrainingJob, row: dict[str, Any]) -> dict[str, Any]:
    """`row` is one of training.services.list_run_files.list_checkpoints."""
    return {
        "id": f"ftckpt-{job.pk}-{row['step']}",
        "object": "fine_tuning.job.checkpoint",
        "created_at": seconds(row["time"]),
        "fine_tuning_job_id": f"ftjob-{job.pk}",
        "fine_tuned_model_checkpoint": f"job-{job.pk}-step-{row['step']}",
        "step_number": row["step"],
        "metrics": {"step": row["step"], **row["values"]},
    }
