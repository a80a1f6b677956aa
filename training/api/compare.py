"""/api/training/compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from training.api.serializers import JobSerializer
from training.filters import whole_number
from training.models import TrainingJob
from training.services.compare_jobs import FEWEST, MOST, compare_jobs

IDS = OpenApiParameter("ids", str, description=f"{FEWEST} to {MOST} ids with commas.", required=True)


class DifferenceSerializer(serializers.Serializer):
    field = serializers.CharField()
    values = serializers.ListField(child=serializers.JSONField(allow_null=True), help_text="In the order of the jobs.")


class CurveSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    points = serializers.ListField(child=serializers.DictField())


class ComparisonSerializer(serializers.Serializer):
    jobs = JobSerializer(many=True)
    config_diff = DifferenceSerializer(many=True)
    metrics_diff = DifferenceSerializer(many=True)
    curves = CurveSerializer(many=True)


class CompareView(APIView):
    """Several runs' curves, and what is different about their configurations and results."""

    @extend_schema(parameters=[IDS], responses=ComparisonSerializer)
    def get(self, request: Request) -> Response:
        found = compare_jobs(jobs=named_jobs(request.user, request.query_params.getlist("ids")))
        return Response(ComparisonSerializer(found).data)


def named_jobs(user: Any, texts: Iterable[str]) -> list[TrainingJob]:
    """The user's jobs with these ids (some may hold several with commas), in that order, each once. 404 when one is not the user's."""
    words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    ids = list(dict.fromkeys(whole_number("ids", word) for word in words))
    found = TrainingJob.objects.for_user(user).select_related("model", "dataset", "reproduces").in_bulk(ids)
    if len(found) < len(ids):
        raise Http404
    return [found[pk] for pk in ids]
