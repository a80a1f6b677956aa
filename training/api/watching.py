"""What can be read about one job while it runs and afterwards."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.text import slugify
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from finetune.core.downloads import stream_file
from training.api import serializers as shapes
from training.engine.tensorboard import name_of_file
from training.event_feed import events_after
from training.filters import whole_number
from training.models import TrainingJob
from training.services.describe_run import describe_run
from training.services.export_metrics import export_metrics
from training.services.export_tensorboard import export_tensorboard
from training.services.list_run_files import list_checkpoints, list_run_files
from training.services.read_log import read_log
from training.services.read_metrics import read_metrics

EVENTS_AT_ONCE = 2000


def parameter(name: str, kind: type, text: str) -> OpenApiParameter:
    """A parameter of the query string."""
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=text)


AFTER = parameter("after", int, "Only what came after this sequence number.")


class WatchActions:
    """Mixin for the jobs' viewset."""

    get_object: Any

    @extend_schema(responses=shapes.StatusSerializer)
    @action(detail=True)
    def status(self, request: Request, pk: str) -> Response:
        return Response(shapes.job_status(self.get_object()))

    @extend_schema(
        responses=shapes.MetricsSerializer,
        parameters=[
            AFTER,
            parameter("max_points", int, "Thin to about this many."),
            parameter("keys", str, "Only these values."),
        ],
    )
    @action(detail=True)
    def metrics(self, request: Request, pk: str) -> Response:
        keys = [key.strip() for key in request.query_params.get("keys", "").split(",") if key.strip()]
        after, most = _number(request, "after") or 0, _number(request, "max_points")
        found = read_metrics(job=self.get_object(), after=after, max_points=most, keys=keys)
        return Response({"points": found.points, "last_seq": found.last_seq})

    @extend_schema(responses=shapes.EventsSerializer, parameters=[AFTER, parameter("kind", str, "Only these; with commas.")])
    @action(detail=True)
    def events(self, request: Request, pk: str) -> Response:
        job, after = self.get_object(), _number(request, "after") or 0
        kinds = [kind.strip() for kind in request.query_params.get("kind", "").split(",") if kind.strip()]
        found = events_after(job.pk, after, limit=EVENTS_AT_ONCE, kinds=kinds)
        last = max(job.last_seq, after) if found.whole else found.events[-1]["seq"]
        return Response({"events": found.events, "last_seq": last})

    @extend_schema(
        responses=shapes.LOG_TYPE,
        parameters=[parameter("tail", int, "Only the last lines."), parameter("of", str, "engine (by default) or provider.")],
    )
    @action(detail=True)
    def logs(self, request: Request, pk: str) -> HttpResponse:
        job = self.get_object()
        text = read_log(job=job, tail=_number(request, "tail"), of=request.query_params.get("of", "engine"))
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

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, url_path="metrics.csv", url_name="metrics-csv")
    def metrics_csv(self, request: Request, pk: str) -> StreamingHttpResponse:
        """Every point of the curves, unthinned, as a table."""
        job = self.get_object()
        return stream_file(request._request, export_metrics(job=job), filename=f"{_file_name(job)}.csv", content_type="text/csv")

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True)
    def tensorboard(self, request: Request, pk: str) -> StreamingHttpResponse:
        """The curves as an event file: put it into a directory of its own and point `tensorboard --logdir` there."""
        job = self.get_object()
        name = name_of_file(job.created_at.timestamp(), _file_name(job))
        return stream_file(request._request, export_tensorboard(job=job), filename=name, content_type="application/octet-stream")

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    @action(detail=True, url_path="spec.json", url_name="spec")
    def spec(self, request: Request, pk: str) -> HttpResponse:
        """The run's spec.json, as `python -m training.engine run` reads it."""
        job = self.get_object()
        name = {"Content-Disposition": 'attachment; filename="spec.json"'}
        text = json.dumps(describe_run(job=job)["spec"], indent=2, ensure_ascii=False)
        return HttpResponse(text, content_type="application/json", headers=name)


def _file_name(job: TrainingJob) -> str:
    return f"{slugify(job.name) or 'job'}-{job.pk}"


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return whole_number(name, text) if text else None
