"""The JSON forms of a model and of what can be asked about it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from models_app.models import LanguageModel
from models_app.services.try_prompt import Params


class ModelSerializer(serializers.ModelSerializer):
    """The model object of the API; sockets send the same."""

    job = serializers.IntegerField(read_only=True, allow_null=True, help_text="The job that made it.")
    progress = serializers.DictField(
        read_only=True, allow_null=True, help_text="{done, total, unit, rate, eta_seconds} while work goes on."
    )
    metrics = serializers.DictField(read_only=True)
    push = serializers.DictField(read_only=True, help_text="The last push to the Hub: {repo_id, private, merge, commit, error}.")

    class Meta:
        model = LanguageModel
        fields = (
            *("id", "name", "kind", "source", "repo_id", "revision", "status", "version", "version_tag", "version_notes"),
            *("is_latest", "family", "base_model", "job", "method", "adapter", "parameters", "architecture", "dtype", "bytes"),
            *(
                "license",
                "context_length",
                "metrics",
                "progress",
                "error",
                "ollama_name",
                "hub_url",
                "push_status",
                "push",
                "created_at",
            ),
        )
        read_only_fields = tuple(set(fields) - {"name", "version_tag", "version_notes"})


class NewModelSerializer(serializers.Serializer):
    """A base model from the Hub."""

    name = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    repo_id = serializers.CharField(max_length=200)
    revision = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")


class ChangeModelSerializer(serializers.Serializer):
    """What may be changed about a model."""

    name = serializers.CharField(max_length=200)
    version_tag = serializers.CharField(max_length=50, required=False, allow_blank=True)
    version_notes = serializers.CharField(max_length=20_000, required=False, allow_blank=True)


class VersionSerializer(serializers.Serializer):
    """What a version is called, and whether it is its family's latest."""

    version_tag = serializers.CharField(max_length=50, required=False, allow_blank=True)
    version_notes = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    is_latest = serializers.BooleanField(required=False)


class MessageSerializer(serializers.Serializer):
    role = serializers.ChoiceField(["system", "user", "assistant"])
    content = serializers.CharField(allow_blank=True, trim_whitespace=False)


class TrySerializer(serializers.Serializer):
    """A prompt or a conversation, and how to answer it. Ranges are checked by the verb."""

    prompt = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    messages = MessageSerializer(many=True, required=False)
    system = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    max_new_tokens = serializers.IntegerField(default=Params.max_new_tokens, help_text="1 to 4096.")
    temperature = serializers.FloatField(default=Params.temperature, help_text="0 (always the likeliest token) to 2.")
    top_p = serializers.FloatField(default=Params.top_p, help_text="Draw from the likeliest tokens that together have this share.")
    seed = serializers.IntegerField(required=False, allow_null=True, default=None)
    stop = serializers.ListField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False),
        required=False,
        default=list,
        help_text="The answer ends before the first of these texts; 8 at most.",
    )
    compare_with = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        default=list,
        help_text="More models of yours, asked the same.",
    )
    checkpoint = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, help_text="Answer as it was at this step of its training."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("prompt" in attrs) == ("messages" in attrs):
            raise serializers.ValidationError({"prompt": "Give either a prompt or messages."})
        return attrs

    def conversation(self) -> list[dict[str, str]]:
        """The messages to answer, the system text first."""
        data = self.validated_data
        turns = [dict(turn) for turn in data.get("messages") or [{"role": "user", "content": data.get("prompt", "")}]]
        return [{"role": "system", "content": data["system"]}, *turns] if data.get("system", "").strip() else turns

    def params(self) -> Params:
        names = ("max_new_tokens", "temperature", "top_p", "seed")
        return Params(**{name: self.validated_data[name] for name in names}, stop=tuple(self.validated_data["stop"]))


class AskSerializer(TrySerializer):
    """The same, asked of a model or a checkpoint by its reference."""

    compare_with = checkpoint = None  # type: ignore[assignment]  # DRF: not these two
    source = serializers.CharField(max_length=60, help_text="model-12 or job-5-step-40.")  # type: ignore[assignment]  # a name of DRF's


class OutputSerializer(serializers.Serializer):
    model_id = serializers.IntegerField()
    text = serializers.CharField(help_text="The answer, without what the model thought first.")
    thinking = serializers.CharField(allow_blank=True)
    prompt_tokens = serializers.IntegerField()
    tokens = serializers.IntegerField(help_text="Of the answer.")
    seconds = serializers.FloatField(help_text="Generation without loading.")
    first_token_seconds = serializers.FloatField(allow_null=True, help_text="From the beginning of the generation.")
    load_seconds = serializers.FloatField(help_text="Loading, and waiting for others.")
    tokens_per_second = serializers.FloatField()
    stop_reason = serializers.ChoiceField(["stop", "length", "cancelled", "failed"])
    error = serializers.CharField(allow_blank=True, help_text="Why this one could not answer; the others did.")


class OutputsSerializer(serializers.Serializer):
    """One answer a model, in the order asked."""

    outputs = OutputSerializer(many=True)
