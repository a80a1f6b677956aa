"""/v1/files: datasets as files."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import delete_dataset
from datasets_app.services.download_dataset import download_dataset
from datasets_app.services.upload_dataset import upload_dataset
from finetune.core.downloads import stream_file
from finetune.core.errors import invalid_field
from finetune.openai.refs import find_or_404, number_in
from finetune.openai.shapes import DeletedSerializer, FileListSerializer, FileSerializer, errors, file_object
from finetune.openai.view import AFTER, LIMIT, OpenAIView, listed

PURPOSE = "fine-tune"


class NewFileSerializer(serializers.Serializer):
    file = serializers.FileField(allow_empty_file=True)
    purpose = serializers.CharField(help_text="fine-tune")


def rows_of(view: OpenAIView) -> Any:
    return Dataset.objects.for_user(view.user)


class FilesView(OpenAIView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="openai_list_files",
        summary="Your files",
        parameters=[LIMIT, AFTER, OpenApiParameter("order", enum=["asc", "desc"]), OpenApiParameter("purpose", str)],
        responses={200: FileListSerializer, **errors(400)},
    )
    def get(self, request: Request) -> Response:
        rows = rows_of(self)
        if request.query_params.get("purpose", PURPOSE) != PURPOSE:
            rows = rows.none()
        return listed(request, rows, file_object, lambda ref: number_in(ref, "file"))

    @extend_schema(
        operation_id="openai_create_file",
        summary="Upload examples",
        request={"multipart/form-data": NewFileSerializer},
        responses={200: FileSerializer, **errors(400, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Reading the file begins at once; `status` is `processed` when it can be trained on, `error` when it can't."""
        form = self.parsed(NewFileSerializer)
        if form["purpose"] != PURPOSE:
            raise invalid_field("purpose", f"Files are kept here to train on: say “{PURPOSE}”.")
        return Response(file_object(upload_dataset(owner=self.user, file=form["file"])))


class FileView(OpenAIView):
    @extend_schema(operation_id="openai_retrieve_file", summary="One file", responses={200: FileSerializer, **errors(404)})
    def get(self, request: Request, ref: str) -> Response:
        return Response(file_object(find_or_404(rows_of(self), ref, "file")))

    @extend_schema(
        operation_id="openai_delete_file",
        summary="Delete a file that no job uses",
        responses={200: DeletedSerializer, **errors(404, 409)},
    )
    def delete(self, request: Request, ref: str) -> Response:
        dataset = find_or_404(rows_of(self), ref, "file")
        told = {"id": file_object(dataset)["id"], "object": "file", "deleted": True}
        delete_dataset(dataset=dataset)
        return Response(told)


class FileContentView(OpenAIView):
    @extend_schema(
        operation_id="openai_download_file",
        summary="The uploaded bytes",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, **errors(404, 409)},
    )
    def get(self, request: Request, ref: str) -> StreamingHttpResponse:
        file = download_dataset(dataset=find_or_404(rows_of(self), ref, "file"))
        kind = {"filename": file.filename, "content_type": file.content_type, "size": file.size}
        return stream_file(request._request, file.chunks, **kind)  # type: ignore[arg-type]
