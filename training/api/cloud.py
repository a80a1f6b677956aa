"""What providers hold of ours."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from training.services.list_cloud_runs import CloudRun, list_cloud_runs
from training.services.refresh_prices import refresh_prices
from training.services.stop_cloud_run import stop_cloud_run


class CloudRunSerializer(serializers.Serializer):
    executor = serializers.CharField()
    id = serializers.CharField()
    what = serializers.CharField()
    running = serializers.BooleanField(help_text="Whether it costs money now.")
    needed = serializers.BooleanField(help_text="Whether an active job is in the attempt it was made for.")
    kept = serializers.BooleanField(help_text="Whether a failed or cancelled job could go on from it.")
    job = serializers.IntegerField(allow_null=True)
    hardware = serializers.CharField(allow_blank=True)
    cost = serializers.FloatField(allow_null=True, help_text="USD so far, where known.")
    cost_note = serializers.CharField(
        allow_blank=True, help_text="How it was counted, where that is more than is billed, or why it is unknown."
    )
    url = serializers.CharField(allow_blank=True)


class CloudRunsSerializer(serializers.Serializer):
    runs = CloudRunSerializer(many=True)
    troubles = serializers.DictField(child=serializers.CharField(), help_text="Executor → why it could not be asked.")


class StopCloudRunSerializer(serializers.Serializer):
    executor = serializers.CharField()
    id = serializers.CharField()


class PricesReadSerializer(serializers.Serializer):
    stored = serializers.IntegerField()


class CloudView(APIView):
    """What providers hold of ours in your accounts; what no job needs is marked."""

    @extend_schema(responses=CloudRunsSerializer)
    def get(self, request: Request) -> Response:
        found = list_cloud_runs(user=cast(User, request.user))
        return Response({"runs": [_run(run) for run in found.runs], "troubles": found.troubles})


class StopCloudRunView(APIView):
    """Stop and remove one of them; 409 while a job needs it."""

    @extend_schema(request=StopCloudRunSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        shape = StopCloudRunSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        told = shape.validated_data
        stop_cloud_run(user=cast(User, request.user), executor=told["executor"], held_id=told["id"])
        return Response(status=204)


class RefreshPricesView(APIView):
    """Read today's prices from the providers that tell them."""

    @extend_schema(request=None, responses=PricesReadSerializer)
    def post(self, request: Request) -> Response:
        return Response({"stored": refresh_prices(user=cast(User, request.user))})


def _run(run: CloudRun) -> dict[str, Any]:
    held = run.held
    return {
        "executor": run.executor, "id": held.id, "what": held.what, "running": held.running, "needed": run.needed, "kept": run.kept,
        "job": run.job.pk if run.job else None, "hardware": held.hardware, "cost": run.cost, "cost_note": run.cost_note, "url": held.url,
    }  # fmt: skip
