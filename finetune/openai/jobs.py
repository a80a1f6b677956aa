"""/v1/fine_tuning/jobs."""

from __future__ import annotations

import time
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.models import Dataset
from finetune.core.errors import invalid_field
from finetune.openai import job_shapes as shapes
from finetune.openai.hyperparameters import our_config, our_method
from finetune.openai.integrations import our_trackers
from finetune.openai.refs import find_model, find_or_404, no_such_model, number_in
from finetune.openai.shapes import errors
from finetune.openai.view import AFTER, LIMIT, OpenAIView, listed, page_of, whole
from training.event_feed import events_before
from training.models import TrainingJob
from training.services.cancel_job import cancel_job
from training.services.create_job import create_job
from training.services.list_run_files import list_checkpoints

WAIT_FOR_FILE_SECONDS = 20.0

# What OpenAI takes and this server has another place for. It is refused in these words, never ignored.
ELSEWHERE = {
    "validation_file": "A job here is evaluated on its own file's split “validation”: divide the file with "
    "POST /api/datasets/{id}/split or on its page, and leave validation_file out.",
    "metadata": "Jobs keep no metadata here. Name the job with suffix, and leave metadata out.",
}


class NewJobSerializer(serializers.Serializer):
    model = serializers.CharField(help_text="An id of GET /v1/models, a name, or a repository of the Hub.")
    training_file = serializers.CharField(help_text="file-12")
    suffix = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=64, help_text="Names the result.")
    seed = serializers.IntegerField(required=False, allow_null=True)
    method = serializers.DictField(required=False, allow_null=True, help_text="{type, <type>: {hyperparameters: {…}}}")
    hyperparameters = serializers.DictField(required=False, allow_null=True, help_text="n_epochs, batch_size, …, or ours.")

    integrations = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        allow_null=True,
        help_text="[{type: wandb, wandb: {project, entity, name, tags}}]; mlflow in the same shape. Your account there has to be stored.",
    )

    class Meta:
        ref_name = "OpenAINewJob"


def jobs_of(view: OpenAIView) -> Any:
    return TrainingJob.objects.for_user(view.user).select_related("model", "dataset", "output_model")


class JobsView(OpenAIView):
    @extend_schema(
        operation_id="openai_list_jobs",
        summary="Your fine-tuning jobs",
        parameters=[LIMIT, AFTER],
        responses={200: shapes.JobListSerializer, **errors(400)},
    )
    def get(self, request: Request) -> Response:
        started = jobs_of(self).exclude(status=TrainingJob.Status.DRAFT)
        return listed(request, started, shapes.job_object, lambda ref: number_in(ref, "ftjob"))

    @extend_schema(
        operation_id="openai_create_job",
        summary="Start a fine-tuning job",
        request=NewJobSerializer,
        responses={200: shapes.JobSerializer, **errors(400, 415)},
    )
    def post(self, request: Request) -> Response:
        """Queued at once. A file that is still being read is waited for, 20 seconds at most."""
        form = self.parsed(NewJobSerializer, ELSEWHERE)
        model = find_model(self.user, form["model"])
        if model is None:
            raise no_such_model(form["model"])
        dataset = self._readable(form["training_file"])
        kind, given = _method(form)
        method = our_method(kind)
        name = (form.get("suffix") or "").strip() or f"{dataset.name} on {model}"
        config = our_config(method, given, form.get("seed"))
        trackers = our_trackers(self.user, form.get("integrations"))
        job = create_job(
            owner=self.user, name=name[:200], model_id=model.pk, dataset_id=dataset.pk, method=method,
            eval_split="validation" if "validation" in dataset.splits else "", config=config, start=True,
            **trackers,
            idempotency_key=request.headers.get("Idempotency-Key", "").strip() or None,
        )  # fmt: skip
        return Response(shapes.job_object(job))

    def _readable(self, ref: str) -> Dataset:
        """The file once it has been read; clients create the job right after the upload."""
        pk, deadline = number_in(ref, "file"), time.monotonic() + WAIT_FOR_FILE_SECONDS
        dataset = Dataset.objects.for_user(self.user).filter(pk=pk).first() if pk is not None else None
        if dataset is None:
            raise invalid_field("training_file", f"There is no file “{ref[:60]}” of yours.", code="file_not_found")
        while dataset.is_busy and time.monotonic() < deadline:
            time.sleep(0.2)
            dataset.refresh_from_db()
        if dataset.is_busy:
            raise invalid_field("training_file", "The file is still being read. Try again in a moment.", code="file_not_ready")
        return dataset


def _method(form: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The method's name and its hyper-parameters, from today's form or the older one."""
    method = form.get("method") or {}
    kind = method.get("type", "supervised")
    inner = method.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or not isinstance(inner or {}, dict):
        raise invalid_field("method", "Say {“type”: “supervised”, “supervised”: {“hyperparameters”: {…}}}.")
    given = (inner or {}).get("hyperparameters") or {}
    if not isinstance(given, dict):
        raise invalid_field("method", "hyperparameters must be an object.")
    return kind, {**(form.get("hyperparameters") or {}), **given}


class JobView(OpenAIView):
    @extend_schema(operation_id="openai_retrieve_job", summary="One job", responses={200: shapes.JobSerializer, **errors(404)})
    def get(self, request: Request, ref: str) -> Response:
        return Response(shapes.job_object(find_or_404(jobs_of(self), ref, "ftjob")))


class CancelView(OpenAIView):
    @extend_schema(
        operation_id="openai_cancel_job",
        summary="Stop a job and keep its checkpoint",
        request=None,
        responses={200: shapes.JobSerializer, **errors(404, 409)},
    )
    def post(self, request: Request, ref: str) -> Response:
        return Response(shapes.job_object(cancel_job(job=find_or_404(jobs_of(self), ref, "ftjob"))))


class EventsView(OpenAIView):
    @extend_schema(
        operation_id="openai_list_events",
        summary="What happened to a job, newest first",
        parameters=[LIMIT, AFTER],
        responses={200: shapes.EventListSerializer, **errors(400, 404)},
    )
    def get(self, request: Request, ref: str) -> Response:
        job, limit = find_or_404(jobs_of(self), ref, "ftjob"), whole(request, "limit", 20, 100)
        after = request.query_params.get("after")
        seq = _cursor(after, f"ftevent-{job.pk}") if after else None
        rows = events_before(job.pk, seq, limit=limit + 1, kinds=shapes.SHOWN)
        return page_of([shapes.event_object(row) for row in rows], limit)


class CheckpointsView(OpenAIView):
    @extend_schema(
        operation_id="openai_list_checkpoints",
        summary="A job's checkpoints, newest first; each may be asked as a model",
        parameters=[LIMIT, AFTER],
        responses={200: shapes.CheckpointListSerializer, **errors(400, 404)},
    )
    def get(self, request: Request, ref: str) -> Response:
        job, limit = find_or_404(jobs_of(self), ref, "ftjob"), whole(request, "limit", 10, 100)
        kept = {row["step"]: row for row in reversed(list_checkpoints(job=job)) if row["kept"]}
        rows = sorted(kept.values(), key=lambda row: -row["step"])
        if after := request.query_params.get("after"):
            step = _cursor(after, f"ftckpt-{job.pk}")
            rows = [row for row in rows if row["step"] < step]
        return page_of([shapes.checkpoint_object(job, row) for row in rows[: limit + 1]], limit)


def _cursor(ref: str, prefix: str) -> int:
    number = number_in(ref, prefix)
    if number is None:
        raise invalid_field("after", f"“{ref[:60]}” is no id of this list.")
    return number
