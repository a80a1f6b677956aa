"""What a chat completion takes and gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from finetune.openai.shapes import constant
from models_app.services.try_prompt import MAX_NEW_TOKENS, Params

DEFAULT_TOKENS = 512
# Said by many clients and without any effect on one answer from one machine.
HARMLESS = {"user", "metadata", "store", "service_tier", "stream_options", "safety_identifier", "prompt_cache_key"}
# What would change the answer is refused unless it says what happens here anyway.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "modalities": (["text"],),
}
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]})
class ContentField(serializers.Field):
    """A text, or a list of parts that are texts."""

    def to_internal_value(self, data: Any) -> str:
        parts = [{"type": "text", "text": data}] if isinstance(data, str) else data
        texts = [_text(part) for part in parts] if isinstance(parts, list) else [None]
        if None in texts:
            raise serializers.ValidationError("Must be a text or a list of {“type”: “text”, “text”: …}: models here read text.")
        return "".join(text for text in texts if text)

    def to_representation(self, value: str) -> str:
        return value


def _text(part: Any) -> str | None:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return text if isinstance(text, str) else None


class ChatMessageSerializer(serializers.Serializer):
    role = serializers.ChoiceField(list(ROLES))
    content = ContentField()

    class Meta:
        ref_name = "OpenAIMessage"


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]})
class StopField(serializers.Field):
    """One text or several."""

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        texts = [data] if isinstance(data, str) else data
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise serializers.ValidationError("Must be a text or a list of texts.")
        return tuple(texts)

    def to_representation(self, value: tuple[str, ...]) -> list[str]:
        return list(value)


class ChatSerializer(serializers.Serializer):
    """Ranges are checked by the verb."""

    model = serializers.CharField(help_text="An id of GET /v1/models, a name, a repository of the Hub, or job-5-step-40.")
    messages = ChatMessageSerializer(many=True)
    max_completion_tokens = serializers.IntegerField(required=False, allow_null=True, help_text=f"1 to {MAX_NEW_TOKENS}.")
    max_tokens = serializers.IntegerField(required=False, allow_null=True, help_text="The older name of the same.")
    temperature = serializers.FloatField(required=False, allow_null=True, help_text="0 to 2; 1 without it.")
    top_p = serializers.FloatField(required=False, allow_null=True, help_text="Above 0, at most 1.")
    seed = serializers.IntegerField(required=False, allow_null=True)
    stop = StopField(required=False, allow_null=True)
    stream = serializers.BooleanField(required=False, allow_null=True, default=False)
    stream_options = serializers.DictField(required=False, allow_null=True, help_text="{include_usage: true}")

    class Meta:
        ref_name = "OpenAIChat"

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name, value in dict(self.initial_data).items():
            known = name in self.fields or name in HARMLESS or value in (None, [], {})
            if not known and value not in NEUTRAL.get(name, ()):
                said = "can only say what it is without it" if name in NEUTRAL else "is not known here"
                raise serializers.ValidationError({name: [f"“{name[:60]}” {said}. Leave it out."]})
        return attrs

    def conversation(self) -> list[dict[str, str]]:
        return [{"role": ROLES[turn["role"]], "content": turn["content"]} for turn in self.validated_data["messages"]]

    def params(self) -> Params:
        given = self.validated_data
        tokens = next((given[name] for name in ("max_completion_tokens", "max_tokens") if given.get(name) is not None), None)
        return Params(
            max_new_tokens=DEFAULT_TOKENS if tokens is None else tokens,
            temperature=_or(given.get("temperature"), 1.0),
            top_p=_or(given.get("top_p"), 1.0),
            seed=given.get("seed"),
            stop=given.get("stop") or (),
        )

    def wants_usage(self) -> bool:
        return (self.validated_data.get("stream_options") or {}).get("include_usage") is True


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


class AnswerSerializer(serializers.Serializer):
    role = constant("assistant")
    content = serializers.CharField(allow_blank=True)
    refusal = serializers.CharField(allow_null=True)
    reasoning_content = serializers.CharField(required=False, help_text="What the model thought first.")

    class Meta:
        ref_name = "OpenAIAnswer"


class ChoiceSerializer(serializers.Serializer):
    index = serializers.IntegerField()
    message = AnswerSerializer()
    logprobs = serializers.CharField(allow_null=True)
    finish_reason = serializers.ChoiceField(["stop", "length"])

    class Meta:
        ref_name = "OpenAIChoice"


class UsageSerializer(serializers.Serializer):
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()

    class Meta:
        ref_name = "OpenAIUsage"


class CompletionSerializer(serializers.Serializer):
    id = serializers.CharField()
    object = constant("chat.completion")
    created = serializers.IntegerField()
    model = serializers.CharField()
    choices = ChoiceSerializer(many=True)
    usage = UsageSerializer()

    class Meta:
        ref_name = "OpenAICompletion"
