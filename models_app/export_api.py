"""/api/models/{id}/export and …/exports: a model's files in another form."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from finetune.core.ranges import send
from models_app.export_serializers import ExportSerializer, NewExportSerializer
from models_app.models import Export, LanguageModel
from models_app.services.cancel_export import cancel_export
from models_app.services.delete_export import delete_export
from models_app.services.download_export import download_export
from models_app.services.export_model import export_model


def own_model(user: Any, pk: int) -> LanguageModel:
    """The asker's own, or 404."""
    return get_object_or_404(LanguageModel.objects.for_user(user).select_related("base_model", "owner"), pk=pk)


def own_export(user: Any, pk: int, export: int) -> Export:
    rows = Export.objects.for_user(user).select_related("model__base_model")
    return get_object_or_404(rows, pk=export, model=own_model(user, pk))


class ExportView(APIView):
    @extend_schema(
        request=NewExportSerializer, responses={202: ExportSerializer}, operation_id="models_export",
        summary="Export a model: adapter, merged or GGUF. Asked twice it is the same export",
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        model = own_model(request.user, pk)
        wanted = NewExportSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        return Response(ExportSerializer(export_model(model=model, **wanted.validated_data)).data, status=status.HTTP_202_ACCEPTED)


@extend_schema_view(get=extend_schema(operation_id="models_exports_list", summary="The exports of a model, newest first"))
class ExportListView(ListAPIView):
    serializer_class = ExportSerializer
    filter_backends: list = []

    def get_queryset(self) -> QuerySet[Export]:
        if getattr(self, "swagger_fake_view", False):  # the schema is written without anybody asking
            return Export.objects.none()
        return own_model(self.request.user, self.kwargs["pk"]).exports.all()


class ExportDetailView(APIView):
    @extend_schema(responses=ExportSerializer, operation_id="models_exports_retrieve", summary="One export")
    def get(self, request: Request, pk: int, export: int) -> Response:
        return Response(ExportSerializer(own_export(request.user, pk, export)).data)

    @extend_schema(
        responses={204: OpenApiResponse(description="Deleted.")},
        operation_id="models_exports_destroy",
        summary="Remove an export and its files",
    )
    def delete(self, request: Request, pk: int, export: int) -> Response:
        delete_export(export=own_export(request.user, pk, export))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExportCancelView(APIView):
    @extend_schema(
        request=None,
        responses={202: ExportSerializer},
        operation_id="models_exports_cancel",
        summary="Stop an export that is being made",
    )
    def post(self, request: Request, pk: int, export: int) -> Response:
        cancelled = cancel_export(export=own_export(request.user, pk, export))
        return Response(ExportSerializer(cancelled).data, status=status.HTTP_202_ACCEPTED)


class ExportDownloadView(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("file", description="One of the export's files; without it the only one, or all as a tar archive.")],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, operation_id="models_exports_download",
        summary="Download an export; Range requests take a broken download up again",
    )  # fmt: skip
    def get(self, request: Request, pk: int, export: int) -> HttpResponseBase:
        found = download_export(export=own_export(request.user, pk, export), file=request.query_params.get("file", ""))
        return send(request._request, found.content, filename=found.filename, content_type=found.content_type)
