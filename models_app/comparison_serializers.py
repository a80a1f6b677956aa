"""The JSON forms of comparisons side by side."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from models_app.models import Comparison
from models_app.serializers import MessageSerializer, TrySerializer


class CompareSerializer(TrySerializer):
    """A prompt or a conversation for two to four models or checkpoints."""

    compare_with = checkpoint = None  # type: ignore[assignment]  # DRF: not these two
    sources = serializers.ListField(child=serializers.CharField(max_length=60), help_text="Each model-12 or job-5-step-40.")
    blind = serializers.BooleanField(default=False, help_text="Shuffle the sides and tell nobody who is who before the vote.")

    def values(self) -> dict[str, Any]:
        """The arguments of `compare_sources`."""
        data = self.validated_data
        return {"sources": data["sources"], "blind": data["blind"], "messages": self.conversation(), "params": self.params()}


class SideSerializer(serializers.Serializer):
    """One answer. Everything but side, text, stop_reason and failed is null in a blind comparison before the vote."""

    side = serializers.CharField()
    text = serializers.CharField(allow_null=True)
    thinking = serializers.CharField(allow_null=True)
    stop_reason = serializers.CharField(allow_null=True)
    failed = serializers.BooleanField(help_text="It could not answer; it can't be voted for and counts for nothing.")
    error = serializers.CharField(allow_null=True, help_text="Why it could not.")
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # a name of DRF's
    name = serializers.CharField(allow_null=True)
    family = serializers.CharField(allow_null=True)
    model_id = serializers.IntegerField(allow_null=True)
    tokens = serializers.IntegerField(allow_null=True)
    tokens_per_second = serializers.FloatField(allow_null=True)
    first_token_seconds = serializers.FloatField(allow_null=True)


def sides_of(comparison: Comparison) -> list[dict[str, Any]]:
    """The sides as anybody may see them now: the one place that knows what a blind comparison hides."""
    found = []
    for side in comparison.sides:
        output = comparison.outputs.get(side["side"], {})
        shown = {"side": side["side"], **{name: output.get(name) for name in ("text", "thinking", "stop_reason")}}
        shown["failed"] = bool(side.get("failed"))
        names = {"source": side["ref"], **{name: side[name] for name in ("name", "family", "model_id")}}
        facts = {name: output.get(name) for name in ("tokens", "tokens_per_second", "first_token_seconds", "error")}
        hidden = {**names, **facts}
        found.append(shown | (hidden if comparison.is_open else dict.fromkeys(hidden)))
    return found


class SideBySideSerializer(serializers.ModelSerializer):
    messages = MessageSerializer(many=True, read_only=True)
    params = serializers.DictField(read_only=True)
    sides = serializers.SerializerMethodField()

    class Meta:
        model = Comparison
        fields = ("id", "messages", "params", "blind", "sides", "vote", "voted_at", "kept_in", "created_at")
        read_only_fields = fields

    @extend_schema_field(SideSerializer(many=True))
    def get_sides(self, comparison: Comparison) -> list[dict[str, Any]]:
        return sides_of(comparison)


class VoteSerializer(serializers.Serializer):
    vote = serializers.CharField(max_length=4, help_text="A side, tie, or none (no good one).")


class CollectSerializer(serializers.Serializer):
    """Where the rows go: the next version of a preference dataset, or a new one."""

    dataset = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1, max_value=2**63 - 1)
    name = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    comparison = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=2**63 - 1, help_text="Only this one; else all votes."
    )


class WinsSerializer(serializers.Serializer):
    a = serializers.CharField()
    b = serializers.CharField()
    wins_a = serializers.IntegerField()
    wins_b = serializers.IntegerField()
    ties = serializers.IntegerField()
    votes = serializers.IntegerField()
    rate_a = serializers.FloatField(help_text="Share of the votes that a won, ties counted half.")


class WinRatesSerializer(serializers.Serializer):
    pairs = WinsSerializer(many=True)
    families = WinsSerializer(many=True)


class SourceSerializer(serializers.Serializer):
    source = serializers.CharField()  # type: ignore[assignment]  # a name of DRF's
    name = serializers.CharField()
    group = serializers.CharField()
