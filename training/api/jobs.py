"""Jobs: list, create, change, move. Reading about one is in watching.py."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.person import person
from finetune.core.drf import OwnedViewSetMixin
from training.api import serializers as shapes
from training.api.watching import WatchActions, parameter
from training.filters import filter_jobs
from training.models import JobQuerySet, TrainingJob
from training.queue import with_positions
from training.services.cancel_job import cancel_job
from training.services.clone_job import clone_job
from training.services.create_job import create_job
from training.services.delete_job import delete_job
from training.services.move_up_job import move_up_job
from training.services.reproduce_job import reproduce_job
from training.services.resume_job import resume_job
from training.services.set_priority import set_priority
from training.services.start_job import start_job
from training.services.update_job import update_job

FILTERS = [
    parameter("status", str, "One of the statuses; several with commas."),
    parameter("method", str, "lora, sft, …"),
    parameter("executor", str, "local, …"),
    parameter("model_id", int, "Jobs that train this model."),
    parameter("dataset_id", int, "Jobs that learn from this dataset."),
]


class JobViewSet(
    WatchActions,
    OwnedViewSetMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet,
):
    """Training jobs of the caller."""

    queryset = TrainingJob.objects.all()
    serializer_class = shapes.JobSerializer
    lookup_value_regex = "[0-9]+"
    search_fields = ["name", "model__name", "dataset__name"]
    ordering_fields = ["created_at", "started_at", "finished_at", "name", "status"]
    ordering = ["-created_at", "-pk"]

    def get_queryset(self) -> JobQuerySet:
        if self.action in ("priority", "move_up"):
            return TrainingJob.objects.for_operator(self.request.user).select_related("owner", "reproduces")
        jobs = super().get_queryset()
        if self.action in ("metrics", "events"):  # asked for every few seconds
            return jobs.only("owner", "last_seq", "rewinds")
        if self.action != "list":
            return jobs.select_related("model", "dataset", "owner", "reproduces")
        return filter_jobs(jobs.select_related("reproduces"), self.request.query_params)

    @extend_schema(parameters=FILTERS)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        return page if page is None else with_positions(page)

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

    @extend_schema(request=shapes.StartSerializer, responses={202: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        shape = shapes.StartSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        return _job(start_job(job=job, **shape.validated_data), 202)

    @extend_schema(request=None, responses={202: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        return _job(cancel_job(job=self.get_object()), 202)

    @extend_schema(request=shapes.ResumeSerializer, responses={202: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        shape = shapes.ResumeSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        return _job(resume_job(job=job, **shape.validated_data), 202)

    @extend_schema(request=None, responses={202: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def reproduce(self, request: Request, pk: str) -> Response:
        """A new queued job with the same spec, data and base; `reproduced_exactly` tells at its end."""
        return _job(reproduce_job(job=self.get_object()), 202)

    @extend_schema(request=shapes.PrioritySerializer, responses=shapes.JobSerializer)
    @action(detail=True, methods=["post"])
    def priority(self, request: Request, pk: str) -> Response:
        """Of a draft or waiting job: 1 high (operators only), 0 normal, -1 low."""
        job = self.get_object()
        shape = shapes.PrioritySerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        return _job(set_priority(job=job, by=person(request), **shape.validated_data))

    @extend_schema(request=None, responses=shapes.JobSerializer)
    @action(detail=True, methods=["post"], url_path="move-up")
    def move_up(self, request: Request, pk: str) -> Response:
        """To the front of the queue; for operators, who may move anybody's."""
        return _job(move_up_job(job=self.get_object(), by=person(request)))

    @extend_schema(request=None, responses={201: shapes.JobSerializer})
    @action(detail=True, methods=["post"])
    def clone(self, request: Request, pk: str) -> Response:
        return _job(clone_job(job=self.get_object()), 201)


def _job(job: TrainingJob, code: int = 200) -> Response:
    return Response(shapes.JobSerializer(job).data, status=code)
