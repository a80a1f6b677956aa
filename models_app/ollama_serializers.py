"""The JSON forms of Ollama servers and of what we made there."""

from __future__ import annotations

from rest_framework import serializers

from models_app.models import OllamaCopy
from models_app.ollama_kinds import QUANTIZATIONS


class ImportSerializer(serializers.Serializer):
    """What to call a model in Ollama, and how to bring it there."""

    name = serializers.CharField(max_length=200, help_text="[namespace/]model[:tag].")
    quantization = serializers.CharField(
        max_length=20, required=False, allow_blank=True, default="", help_text=f"f16 (default); one of {', '.join(QUANTIZATIONS)}."
    )
    system = serializers.CharField(required=False, allow_blank=True, default="", max_length=20_000)
    template = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=20_000,
        trim_whitespace=False,
        help_text="A Go template; empty for the model's own.",
    )
    parameters = serializers.DictField(required=False, default=dict, help_text='Ollama\'s own, for example {"temperature": 0.2}.')
    route = serializers.CharField(
        max_length=20, required=False, allow_blank=True, default="", help_text="gguf, safetensors or adapter; empty chooses."
    )
    overwrite = serializers.BooleanField(required=False, default=False, help_text="Replace a model of that name.")


class CopySerializer(serializers.ModelSerializer):
    """A model that we made in an Ollama server."""

    model = serializers.IntegerField(source="model_id", read_only=True, allow_null=True)
    wanted = serializers.DictField(read_only=True)
    progress = serializers.DictField(read_only=True, allow_null=True)
    proof = serializers.DictField(
        read_only=True, help_text="{question, ours, theirs, equal, same_characters, layout, template, rendered, details}."
    )

    class Meta:
        model = OllamaCopy
        fields = ("id", "model", "made_of", "server", "name", "route", "status", "wanted", "progress", "error", "proof", "created_at",
                  "updated_at")  # fmt: skip
        read_only_fields = fields


class ThereSerializer(serializers.Serializer):
    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    modified_at = serializers.CharField(allow_null=True)
    ours = serializers.BooleanField()


class ServerSerializer(serializers.Serializer):
    """Your Ollama server, asked just now."""

    url = serializers.CharField()
    reachable = serializers.BooleanField()
    version = serializers.CharField()
    trouble = serializers.CharField(help_text="Why it does not answer.")
    models = ThereSerializer(many=True)
    allowed = serializers.ListField(child=serializers.CharField(), help_text="Servers that the operator lets people choose.")
    copies = CopySerializer(many=True)


class ChooseServerSerializer(serializers.Serializer):
    server = serializers.CharField(max_length=300, allow_blank=True, help_text="Empty: the installation's.")
