"""/api/models/{id}/version-compare and /lineage: what a version shares with others, and how it came to be."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from finetune.core.errors import invalid_field
from models_app.export_serializers import ExportSerializer
from models_app.models import LanguageModel
from models_app.ollama_serializers import CopySerializer
from models_app.serializers import ModelSerializer
from training.api.compare import CurveSerializer
from training.api.serializers import JobSerializer
from training.filters import whole_number
from training.services.compare_jobs import MOST
from training.services.compare_versions import compare_versions
from training.services.trace_lineage import trace_lineage

WITH = OpenApiParameter("with", str, description=f"One id, or up to {MOST - 1} with commas.", required=True)


class VersionDifferenceSerializer(serializers.Serializer):
    field = serializers.CharField()
    a = serializers.JSONField(allow_null=True)
    b = serializers.JSONField(allow_null=True)
    values = serializers.ListField(child=serializers.JSONField(allow_null=True), help_text="Of all of them, in order.")


class DatasetDifferenceSerializer(serializers.Serializer):
    """Between one version's data and the next one's."""

    same = serializers.BooleanField(allow_null=True)
    before = serializers.IntegerField(allow_null=True)
    after = serializers.IntegerField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="{same, changed, removed, added} rows.")
    reason = serializers.CharField(help_text="Why there are no counts.")


class SamplesSerializer(serializers.Serializer):
    prompt = serializers.CharField()
    texts = serializers.ListField(child=serializers.CharField(allow_null=True))


class EvaluatedRowSerializer(serializers.Serializer):
    row = serializers.IntegerField()
    prompt = serializers.ListField(child=serializers.DictField())
    expected = serializers.CharField()
    texts = serializers.ListField(child=serializers.CharField(allow_null=True))
    scores = serializers.ListField(child=serializers.FloatField(allow_null=True))


class MeasureSerializer(serializers.Serializer):
    field = serializers.CharField()
    values = serializers.ListField(child=serializers.FloatField(allow_null=True))


class EvaluatedSerializer(serializers.Serializer):
    """The same rows run through several of the versions; null for one that was not asked."""

    dataset_name = serializers.CharField()
    dataset_id = serializers.IntegerField(allow_null=True)
    split = serializers.CharField()
    rows = serializers.IntegerField()
    evaluations = serializers.ListField(child=serializers.IntegerField(allow_null=True), help_text="Ids, in the versions' order.")
    metrics = MeasureSerializer(many=True)
    samples = EvaluatedRowSerializer(many=True, help_text="Those about which the versions differ most first.")


class VersionComparisonSerializer(serializers.Serializer):
    a = ModelSerializer()
    b = ModelSerializer()
    models = ModelSerializer(many=True)
    config_diff = VersionDifferenceSerializer(many=True)
    metrics_diff = VersionDifferenceSerializer(many=True)
    dataset_diff = DatasetDifferenceSerializer(help_text="Between a and b.")
    dataset_diffs = DatasetDifferenceSerializer(many=True, help_text="Between each and the next.")
    curves = CurveSerializer(many=True)
    samples = SamplesSerializer(many=True)
    evaluations = EvaluatedSerializer(many=True)


class LineageSerializer(serializers.Serializer):
    """From the data to everywhere the version went."""

    dataset = serializers.DictField(allow_null=True)
    base = serializers.DictField(allow_null=True)
    parents = ModelSerializer(many=True)
    job = JobSerializer(allow_null=True)
    spec = serializers.DictField()
    seed = serializers.IntegerField(allow_null=True)
    packages = serializers.DictField()
    hardware = serializers.DictField()
    weights_sha256 = serializers.CharField()
    version = ModelSerializer()
    children = ModelSerializer(many=True)
    exports = ExportSerializer(many=True)
    hub = serializers.DictField(allow_null=True)
    ollama = CopySerializer(many=True)


class VersionCompareView(APIView):
    @extend_schema(
        parameters=[WITH], responses=VersionComparisonSerializer, operation_id="models_version_compare",
        summary="Versions beside each other: configuration, results, data, curves, sample answers",
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> Response:
        models = own_versions(request.user, [str(pk), *request.query_params.getlist("with")])
        found = compare_versions(models=models)
        for name in ("config_diff", "metrics_diff"):
            found[name] = [{**row, "a": row["values"][0], "b": row["values"][1]} for row in found[name]]
        answer = {**found, "a": models[0], "b": models[1], "dataset_diff": found["dataset_diffs"][0]}
        return Response(VersionComparisonSerializer(answer).data)


class LineageView(APIView):
    @extend_schema(
        responses=LineageSerializer, operation_id="models_lineage",
        summary="Dataset, base commit, spec, run, version, exports, Hub commit, Ollama name",
    )  # fmt: skip
    def get(self, request: Request, pk: int) -> Response:
        return Response(LineageSerializer(trace_lineage(model=own_version(request.user, pk))).data)


def _rows(user: Any) -> Any:
    related = ("base_model__base_model", "produced_by__dataset__parent", "produced_by__model", "produced_by__reproduces", "owner")
    return LanguageModel.objects.for_user(user).select_related(*related)


def own_version(user: Any, pk: int) -> LanguageModel:
    return get_object_or_404(_rows(user), pk=pk)


def own_versions(user: Any, texts: list[str]) -> list[LanguageModel]:
    """The user's models with these ids (some texts may hold several with commas), in that order, each once; 404 for another's."""
    words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    ids = list(dict.fromkeys(whole_number("with", word) for word in words))
    if len(ids) > 50:
        raise invalid_field("with", f"Name at most {MOST} versions.")
    found = _rows(user).in_bulk(ids)
    if len(found) < len(ids):
        raise Http404
    return [found[pk] for pk in ids]
