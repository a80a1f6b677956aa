"""The JSON forms of exports."""

from __future__ import annotations

from django.urls import reverse
from rest_framework import serializers

from models_app.models import Export


class NewExportSerializer(serializers.Serializer):
    """What to make of a model."""

    format = serializers.CharField(max_length=20, help_text="adapter, merged or gguf.")
    quantization = serializers.CharField(
        max_length=20,
        required=False,
        allow_blank=True,
        default="",
        help_text="merged: bf16, fp16, fp32 or empty for the base's own; gguf: f16 (default), bf16, f32, q8_0, and k-quants "
        "such as q4_k_m where the server has llama-quantize.",
    )


class ExportedFileSerializer(serializers.Serializer):
    path = serializers.CharField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class ExportSerializer(serializers.ModelSerializer):
    """One export; `download_url` gives all files as one tar archive (a single file as it is), `?file=` one of them; both resume."""

    model = serializers.IntegerField(source="model_id", read_only=True)
    progress = serializers.DictField(
        read_only=True, allow_null=True, help_text="{done, total, unit, rate, eta_seconds, stage} while it is being made."
    )
    files = ExportedFileSerializer(many=True, read_only=True)
    checks = serializers.DictField(
        read_only=True, help_text="Merged weights against base and adapter: {agrees, difference, tokens, same_next_tokens, …}."
    )
    download_url = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = ("id", "model", "format", "quantization", "status", "progress", "error", "bytes", "files", "checks", "download_url",
                  "created_at")  # fmt: skip
        read_only_fields = fields

    def get_download_url(self, export: Export) -> str:
        """Empty until it is ready."""
        return reverse("api-export-download", args=[export.model_id, export.pk]) if export.status == Export.Status.READY else ""
