"""OpenAI's objects, made of ours, and their schemas."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema_field
from rest_framework import serializers

from datasets_app.models import Dataset
from models_app.models import LanguageModel


def constant(value: str) -> serializers.CharField:
    """A field that always says this."""
    field = type("ConstantField", (serializers.CharField,), {})
    return extend_schema_field({"type": "string", "const": value})(field)()


class ErrorDetailSerializer(serializers.Serializer):
    message = serializers.CharField()
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_null=True)

    class Meta:
        ref_name = "OpenAIErrorDetail"


class OpenAIErrorSerializer(serializers.Serializer):
    error = ErrorDetailSerializer()

    class Meta:
        ref_name = "OpenAIError"


WORDS = {
    400: "Something in the request can't be accepted; `param` names it.",
    401: "Sign in: `Authorization: Bearer …`.",
    404: "There is none of yours.",
    409: "Not in this state.",
    413: "Too many bytes.",
    415: "Not this media type.",
    429: "Too many requests.",
    503: "No worker answers.",
}


def errors(*codes: int) -> dict[int, OpenApiResponse]:
    """The refusals of an operation, for its schema; 401 and 429 are everybody's."""
    return {code: OpenApiResponse(OpenAIErrorSerializer, description=WORDS[code]) for code in sorted({*codes, 401, 429})}


class DeletedSerializer(serializers.Serializer):
    id = serializers.CharField()
    object = serializers.CharField()
    deleted = serializers.BooleanField()


class FileSerializer(serializers.Serializer):
    id = serializers.CharField()
    object = constant("file")
    bytes = serializers.IntegerField()
    created_at = serializers.IntegerField()
    filename = serializers.CharField()
    purpose = constant("fine-tune")
    status = serializers.ChoiceField(["uploaded", "processed", "error"])
    status_details = serializers.CharField(allow_null=True)

    class Meta:
        ref_name = "OpenAIFile"


class FileListSerializer(serializers.Serializer):
    object = constant("list")
    data = FileSerializer(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField()
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)

    class Meta:
        ref_name = "OpenAIFileList"


class ModelSerializer(serializers.Serializer):
    id = serializers.CharField()
    object = constant("model")
    created = serializers.IntegerField()
    owned_by = serializers.CharField()
    name = serializers.CharField(help_text="May be used as `model` too.")
    kind = serializers.ChoiceField(LanguageModel.Kind.choices)
    repo_id = serializers.CharField(allow_blank=True)

    class Meta:
        ref_name = "OpenAIModel"


class ModelListSerializer(serializers.Serializer):
    object = constant("list")
    data = ModelSerializer(many=True)  # type: ignore[assignment]

    class Meta:
        ref_name = "OpenAIModelList"


def seconds(when: datetime | None) -> int | None:
    """Seconds since 1970, as OpenAI writes times."""
    return int(when.timestamp()) if when else None


FILE_STATUS = {Dataset.Status.READY: "processed", Dataset.Status.INVALID: "error"}


def file_object(dataset: Dataset) -> dict[str, Any]:
    """A dataset as a file."""
    problems = [problem["message"] for problem in dataset.report.get("problems", []) if problem.get("severity") == "error"]
    return {
        "id": f"file-{dataset.pk}",
        "object": "file",
        "bytes": dataset.bytes,
        "created_at": seconds(dataset.created_at),
        "filename": dataset.source_name or dataset.name,
        "purpose": "fine-tune",
        "status": FILE_STATUS.get(Dataset.Status(dataset.status), "uploaded"),
        "status_details": problems[0] if dataset.status == Dataset.Status.INVALID and problems else None,
    }


def model_object(model: LanguageModel) -> dict[str, Any]:
    return {
        "id": f"model-{model.pk}",
        "object": "model",
        "created": seconds(model.created_at),
        "owned_by": model.owner.username,
        "name": str(model),
        "kind": model.kind,
        "repo_id": model.repo_id,
    }
