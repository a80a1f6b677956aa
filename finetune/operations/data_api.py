"""/api/auth/archive: everything of one's own in one file."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import NotWithApiKey
from accounts.models import DataArchive
from accounts.person import person
from finetune.core.ranges import send
from finetune.operations.services.download_archive import download_archive
from finetune.operations.services.export_data import export_data


class ArchiveSerializer(serializers.ModelSerializer):
    progress = serializers.SerializerMethodField(help_text="{done, total, unit}: datasets and jobs that are in it.")

    class Meta:
        model = DataArchive
        fields = ["id", "status", "progress", "bytes", "sha256", "error", "created_at", "ready_at", "expires_at"]

    def get_progress(self, archive: DataArchive) -> dict[str, Any]:
        return {"done": archive.done, "total": archive.total, "unit": "items"}


class ArchiveView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(responses=ArchiveSerializer(many=True), operation_id="auth_archive")
    def get(self, request: Request) -> Response:
        """The archives of your data, newest first; empty when you never asked for one."""
        return Response(ArchiveSerializer(DataArchive.objects.for_user(person(request)), many=True).data)

    @extend_schema(request=None, responses={202: ArchiveSerializer}, operation_id="auth_archive_make")
    def post(self, request: Request) -> Response:
        """Ask for an archive: profile, datasets' originals, jobs with metrics and logs, models, votes, audit log. A worker makes it."""
        return Response(ArchiveSerializer(export_data(user=person(request))).data, status=202)


class DownloadArchiveView(APIView):
    permission_classes = [IsAuthenticated, NotWithApiKey]

    @extend_schema(
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description="The archive.")},
        operation_id="auth_archive_download",
    )
    def get(self, request: Request) -> HttpResponseBase:
        """The archive; a Range header takes it up where it broke off."""
        content, filename = download_archive(user=person(request))
        return send(request._request, content, filename=filename, content_type="application/zip")
