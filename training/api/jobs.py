"""Jobs: list, create, change, move, watch."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from finetune.core.drf import OwnedViewSetMixin
from training.api import serializers as shapes
from training.filters import filter_jobs, whole_number
from training.models import JobEvent, JobQuerySet, TrainingJob
from training.services.cancel_job import cancel_job
from training.services.clone_job import clone_job
from training.services.create_job import create_job
from training.services.delete_job import delete_job
from training.services.describe_run import describe_run
from training.services.list_run_files import list_checkpoints, list_run_files
from training.services.read_log import read_log
from training.services.read_metrics import read_metrics
from training.services.resume_job import resume_job
from training.services.start_job import start_job
from training.services.update_job import update_job

EVENTS_AT_ONCE = 2000


def _parameter(name: str, kind: type, text: str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=text)


FILTERS = [
    _parameter("status", str, "One of the statuses; several with commas."),
    _parameter("method", str, "lora, sft, …"),
    _parameter("executor", str, "local, …"),
    _parameter("model_id", int, "Jobs that train this model."),
    _parameter("dataset_id", int, "Jobs that learn from this dataset."),
]
AFTER = _parameter("after", int, "Only what came after this sequence number.")


class JobViewSet(
    OwnedViewSetMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet
):
    """Training jobs of the caller."""

    queryset = TrainingJob.objects.all()
    serializer_class = shapes.JobSerializer
    lookup_value_regex = "[0-9]+"
    search_fields = ["name", "model__name", "dataset__name"]
    ordering_fields = ["created_at", "started_at", "finished_at", "name", "status"]
    ordering = ["-created_at", "-pk"]

    def get_queryset(self) -> JobQuerySet:
        jobs = super().get_queryset()
        if self.action != "list":
            return jobs.select_related("model", "dataset", "owner")
        return filter_jobs(jobs, self.request.query_params).with_queue_position()

    @extend_schema(parameters=FILTERS)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(
        request=shapes.NewJobSerializer,
        responses={201: shapes.JobSerializer},
        parameters=[
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description="Repeating it gives the same job.")
        ],
    )
    def create(self, request: Request) -> Response:
        shape = shapes.NewJobSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key", "").strip() or None
        return _job(create_job(owner=cast(User, request.user), idempotency_key=key, **shape.validated_data), 201)

    @extend_schema(request=shapes.JobChangesSerializer(partial=True), responses=shapes.JobSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        shape = shapes.JobChangesSerializer(data=request.data, partial=True)
        shape.is_valid(raise_exception=True)
        return _job(update_job(job=job, **shape.validated_data))

    def perform_destroy(self, instance: TrainingJob) -> None:
        delete_job(job=instance)

    # --- Moves -----------------------------------------------------------------------------------

    @extend_schema(request=None, responses={202: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        return _job(start_job(job=self.get_object()), 202)

    @extend_schema(request=None, responses={202: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        return _job(cancel_job(job=self.get_object()), 202)

    @extend_schema(request=None, responses={202: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        return _job(resume_job(job=self.get_object()), 202)

    @extend_schema(request=None, responses={201: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def clone(self, request: Request, pk: str) -> Response:
        return _job(clone_job(job=self.get_object()), 201)

    # --- Watching --------------------------------------------------------------------------------

    @extend_schema(responses=shapes.StatusSerializer)
    @action(detail=True)
    def status(self, request: Request, pk: str) -> Response:
        return Response(shapes.job_status(self.get_object()))

    @extend_schema(
        responses=shapes.MetricsSerializer,
        parameters=[
            AFTER,
            _parameter("max_points", int, "Thin to about this many."),
            _parameter("keys", str, "Only these values."),
        ],
    )
    @action(detail=True)
    def metrics(self, request: Request, pk: str) -> Response:
        keys = [key.strip() for key in request.query_params.get("keys", "").split(",") if key.strip()]
        after, most = _number(request, "after") or 0, _number(request, "max_points")
        found = read_metrics(job=self.get_object(), after=after, max_points=most, keys=keys)
        return Response({"points": found.points, "last_seq": found.last_seq})

    @extend_schema(responses=shapes.EventsSerializer, parameters=[AFTER, _parameter("kind", str, "Only these; with commas.")])
    @action(detail=True)
    def events(self, request: Request, pk: str) -> Response:
        job, after = self.get_object(), _number(request, "after") or 0
        kinds = [kind.strip() for kind in request.query_params.get("kind", "").split(",") if kind.strip()]
        rows = JobEvent.objects.filter(job=job, seq__gt=after).order_by("seq")
        found = list((rows.filter(kind__in=kinds) if kinds else rows)[:EVENTS_AT_ONCE])
        cut = len(found) == EVENTS_AT_ONCE
        return Response(
            {"events": [row.as_dict() for row in found], "last_seq": found[-1].seq if cut else max(job.last_seq, after)}
        )

    @extend_schema(responses=shapes.LOG_TYPE, parameters=[_parameter("tail", int, "Only the last lines.")])
    @action(detail=True)
    def logs(self, request: Request, pk: str) -> HttpResponse:
        job = self.get_object()
        text = read_log(job=job, tail=_number(request, "tail"))
        name = {"Content-Disposition": f'inline; filename="job-{job.pk}.log"', "X-Content-Type-Options": "nosniff"}
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=name)

    @extend_schema(responses=shapes.CheckpointSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def checkpoints(self, request: Request, pk: str) -> Response:
        return Response(shapes.CheckpointSerializer(list_checkpoints(job=self.get_object()), many=True).data)

    @extend_schema(responses=shapes.FileSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def files(self, request: Request, pk: str) -> Response:
        return Response(shapes.FileSerializer(list_run_files(job=self.get_object()), many=True).data)

    @extend_schema(responses=shapes.CommandSerializer)
    @action(detail=True)
    def command(self, request: Request, pk: str) -> Response:
        return Response(describe_run(job=self.get_object()))


def _job(job: TrainingJob, code: int = 200) -> Response:
    return Response(shapes.JobSerializer(job).data, status=code)


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return whole_number(name, text) if text else None
