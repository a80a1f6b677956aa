"""What a job would need, before it exists."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from training.api.serializers import JobChangesSerializer
from training.services.estimate_job import estimate_job
from training.services.estimate_places import ASKED, estimate_places


class JobToEstimateSerializer(JobChangesSerializer):
    """Like a job's. `name` and `start` are taken and mean nothing here."""

    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    start = serializers.BooleanField(required=False)


class RangeSerializer(serializers.Serializer):
    low = serializers.FloatField()
    high = serializers.FloatField()


class PartsSerializer(serializers.Serializer):
    """Bytes of each thing at its own largest; not all of them are at the same time."""

    weights = serializers.IntegerField()
    gradients = serializers.IntegerField()
    optimizer = serializers.IntegerField()
    activations = serializers.IntegerField()
    logits = serializers.IntegerField()
    overhead = serializers.IntegerField()


class MemoryRangeSerializer(serializers.Serializer):
    low = serializers.IntegerField()
    expected = serializers.IntegerField()
    high = serializers.IntegerField()
    parts = PartsSerializer()


class CostRangeSerializer(RangeSerializer):
    currency = serializers.CharField()
    price_as_of = serializers.DateField(allow_null=True)


class AdviceSerializer(serializers.Serializer):
    text = serializers.CharField()
    config = serializers.DictField(help_text="Options to set.")
    method = serializers.CharField(allow_null=True, help_text="Another method to choose, or null.")


class EstimateSerializer(serializers.Serializer):
    tokens = serializers.IntegerField(help_text="Of all steps, without padding.")
    steps = serializers.IntegerField()
    duration_seconds = RangeSerializer()
    memory_bytes = MemoryRangeSerializer()
    fits = serializers.BooleanField(allow_null=True, help_text="null where the device does not tell its memory.")
    device = serializers.CharField()
    device_name = serializers.CharField()
    device_memory_bytes = serializers.IntegerField(allow_null=True)
    device_free_bytes = serializers.IntegerField(allow_null=True)
    cost = CostRangeSerializer()
    advice = AdviceSerializer(many=True)
    calibrated_on = serializers.CharField()
    truncated_share = serializers.FloatField(help_text="Share of the sampled rows that are longer than max_length, 0 to 1.")


class EstimateView(APIView):
    """Tokens, steps, time, memory and cost of a job before it starts, and what to change when it doesn't fit."""

    @extend_schema(request=JobToEstimateSerializer, responses=EstimateSerializer)
    def post(self, request: Request) -> Response:
        shape = JobToEstimateSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        values = {key: value for key, value in shape.validated_data.items() if key not in {"name", "start"}}
        found = estimate_job(owner=request.user, **values)  # type: ignore[arg-type]
        return Response(EstimateSerializer(asdict(found)).data)


class MachineEstimateSerializer(serializers.Serializer):
    """`hardware` is empty for this installation's own machine. Bytes are one device's, cost is USD with start-up."""

    executor = serializers.CharField()
    hardware = serializers.CharField(allow_blank=True)
    verdict = serializers.ChoiceField(choices=["fits", "tight", "too_small", "too_few", "unknown"], help_text="too_few: GPUs.")
    needed_bytes = serializers.IntegerField()
    memory_bytes = serializers.IntegerField(allow_null=True)
    duration_seconds = RangeSerializer()
    cost = RangeSerializer()


class EstimatePlacesView(APIView):
    """The same job everywhere it could run: whether it fits, how long it takes and what it costs. `executor` and `hardware` mean nothing here."""

    @extend_schema(
        request=JobToEstimateSerializer, responses=MachineEstimateSerializer(many=True), operation_id="training_estimate_places"
    )
    def post(self, request: Request) -> Response:
        shape = JobToEstimateSerializer(data=request.data)
        shape.is_valid(raise_exception=True)
        values = {name: value for name, value in shape.validated_data.items() if name in ASKED}
        found = estimate_places(owner=request.user, **values)  # type: ignore[arg-type]
        return Response(MachineEstimateSerializer([asdict(item) for item in found], many=True).data)
