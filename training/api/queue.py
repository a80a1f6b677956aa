"""The queue and the workers: looking at them, and what operators do to them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.person import person
from training.api.watching import parameter
from training.services.admit_worker import admit_worker
from training.services.drain_worker import drain_worker
from training.services.list_workers import list_workers
from training.services.open_queue import open_queue
from training.services.pause_queue import pause_queue
from training.services.read_queue import Line, Queue, read_queue


class LineSerializer(serializers.Serializer):
    """A job in the queue. Of somebody else's only its place and size are told, unless an operator asks."""

    mine = serializers.BooleanField()
    id = serializers.IntegerField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    owner = serializers.CharField(allow_null=True)
    status = serializers.CharField(allow_null=True)
    priority = serializers.IntegerField(allow_null=True)
    devices = serializers.IntegerField()
    position = serializers.IntegerField(allow_null=True, help_text="1 runs next; null for a running job.")
    expected_start = serializers.DateTimeField(allow_null=True, help_text="Null where it can't be told.")
    waits_for = serializers.ChoiceField(["", "turn", "devices", "limit", "pause"])


class PauseSerializer(serializers.Serializer):
    reason = serializers.CharField(allow_blank=True)
    paused_at = serializers.DateTimeField()


class QueueSerializer(serializers.Serializer):
    executor = serializers.CharField()
    slots = serializers.IntegerField(help_text="How many jobs of one device can run at once.")
    pause = PauseSerializer(allow_null=True)
    running = LineSerializer(many=True)
    waiting = LineSerializer(many=True, help_text="The first 500.")
    waiting_total = serializers.IntegerField()


class WorkerSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="The Celery node.")
    machine = serializers.CharField()
    slots = serializers.IntegerField()
    jobs = serializers.ListField(child=serializers.IntegerField())
    drained = serializers.BooleanField()
    reports = serializers.BooleanField()


class PauseRequestSerializer(serializers.Serializer):
    executor = serializers.CharField(default="local")
    reason = serializers.CharField(default="", allow_blank=True)


class OpenRequestSerializer(serializers.Serializer):
    executor = serializers.CharField(default="local")


class WorkerRequestSerializer(serializers.Serializer):
    worker = serializers.CharField(help_text="The Celery node's name, such as train@host.")


class QueueView(APIView):
    """What runs, and what waits in which order with its expected start."""

    @extend_schema(responses=QueueSerializer, parameters=[parameter("executor", str, "local by default.")])
    def get(self, request: Request) -> Response:
        found = read_queue(user=person(request), executor=request.query_params.get("executor") or "local")
        return Response(QueueSerializer(_queue(found, request)).data)


def _queue(found: Queue, request: Request) -> dict[str, Any]:
    lines = {
        "running": [_line(line, request) for line in found.running],
        "waiting": [_line(line, request) for line in found.waiting],
    }
    return {"executor": found.executor, "slots": found.slots, "pause": found.pause, "waiting_total": found.waiting_total, **lines}


def _line(line: Line, request: Request) -> dict[str, Any]:
    job = line.job
    told = (
        {"id": job.pk, "name": job.name, "owner": job.owner.username, "status": job.status, "priority": job.priority} if job else {}
    )
    nothing = dict.fromkeys(("id", "name", "owner", "status", "priority"))
    place = {"position": line.position, "expected_start": line.expected_start, "waits_for": line.waits_for}
    return {**nothing, **told, **place, "devices": line.devices, "mine": job is not None and job.owner_id == request.user.pk}


class PauseQueueView(APIView):
    @extend_schema(request=PauseRequestSerializer, responses=PauseSerializer)
    def post(self, request: Request) -> Response:
        """Take nothing new from the queue; operators only."""
        return Response(PauseSerializer(pause_queue(by=person(request), **_checked(PauseRequestSerializer, request))).data)


class OpenQueueView(APIView):
    @extend_schema(request=OpenRequestSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the pause; operators only."""
        open_queue(by=person(request), **_checked(OpenRequestSerializer, request))
        return Response(status=204)


class WorkersView(APIView):
    @extend_schema(responses=WorkerSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The training workers and what they follow; operators only."""
        return Response(WorkerSerializer(list_workers(by=person(request)), many=True).data)


class DrainWorkerView(APIView):
    @extend_schema(request=WorkerRequestSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Let it finish what it follows and take nothing new; operators only."""
        drain_worker(by=person(request), name=_checked(WorkerRequestSerializer, request)["worker"])
        return Response(status=204)


class AdmitWorkerView(APIView):
    @extend_schema(request=WorkerRequestSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Let a drained worker take jobs again; operators only."""
        admit_worker(by=person(request), name=_checked(WorkerRequestSerializer, request)["worker"])
        return Response(status=204)


def _checked(shape: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    found = shape(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)
