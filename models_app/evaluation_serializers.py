"""The JSON forms of evaluations."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from models_app.models import Evaluation


class EvaluationSerializer(serializers.ModelSerializer):
    progress = serializers.DictField(
        read_only=True, allow_null=True, help_text="{done, total, unit, rate, eta_seconds} while it runs."
    )
    metrics = serializers.DictField(
        read_only=True,
        help_text="{rows, answered, loss, perplexity, tokens, exact_match, token_f1, rouge_l, pattern_share, schema_share, "
        "preference_accuracy}, those that were measured.",
    )
    options = serializers.DictField(read_only=True, help_text="{max_new_tokens, pattern, schema}")

    class Meta:
        model = Evaluation
        fields = (
            *("id", "model", "dataset", "dataset_name", "dataset_hash", "kind", "split", "rows", "options", "status", "progress"),
            *("metrics", "error", "created_at", "finished_at"),
        )
        read_only_fields = fields


class NewEvaluationSerializer(serializers.Serializer):
    """What to run through the model."""

    dataset = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    split = serializers.CharField(required=False, allow_blank=True, default="", max_length=50)
    rows = serializers.IntegerField(default=100)
    max_new_tokens = serializers.IntegerField(default=128)
    pattern = serializers.CharField(required=False, allow_blank=True, default="", trim_whitespace=False)
    schema = serializers.CharField(required=False, allow_blank=True, default="", help_text="A JSON schema as text.")


class EvaluationSampleSerializer(serializers.Serializer):
    row = serializers.IntegerField()
    line = serializers.IntegerField()
    prompt = serializers.ListField(child=serializers.DictField())
    expected = serializers.CharField()
    output = serializers.CharField()
    thinking = serializers.CharField()
    stop_reason = serializers.CharField()
    tokens = serializers.IntegerField()
    loss = serializers.FloatField(allow_null=True)
    exact = serializers.BooleanField(allow_null=True)
    f1 = serializers.FloatField(allow_null=True)
    rouge_l = serializers.FloatField(allow_null=True)
    pattern_ok = serializers.BooleanField(allow_null=True)
    schema_ok = serializers.BooleanField(allow_null=True)
    prefers = serializers.BooleanField(allow_null=True)
    problem = serializers.CharField()
    score = serializers.FloatField()


class MetricChangeSerializer(serializers.Serializer):
    name = serializers.CharField()
    a = serializers.FloatField(allow_null=True)
    b = serializers.FloatField(allow_null=True)
    change = serializers.FloatField(allow_null=True)


class SamplePairSerializer(serializers.Serializer):
    row = serializers.IntegerField()
    a = EvaluationSampleSerializer()
    b = EvaluationSampleSerializer()
    change = serializers.FloatField()


class EvaluationComparisonSerializer(serializers.Serializer):
    """Two evaluations beside each other; `a` is the first."""

    a = EvaluationSerializer()
    b = EvaluationSerializer()
    same_rows = serializers.BooleanField()
    metrics = MetricChangeSerializer(many=True)
    samples: Any = SamplePairSerializer(many=True)
