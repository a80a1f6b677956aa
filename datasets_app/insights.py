"""The JSON forms of what is known about a dataset and made of it: statistics, splits, fixes, versions, gates, mixtures."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from datasets_app.serializers import DatasetProgressSerializer, StrictSerializer


class StatisticsQuerySerializer(StrictSerializer):
    """Whose tokens to count."""

    model_id = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="Left out, tokens are estimated."
    )
    max_length = serializers.IntegerField(
        required=False, min_value=8, max_value=1_048_576, help_text="Also say what share it would cut."
    )


class BarSerializer(StrictSerializer):
    """Rows of a range of lengths, both ends included."""

    to = serializers.IntegerField()
    rows = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:  # "from" can't be the name of a class attribute
        return {"from": serializers.IntegerField(), **super().get_fields()}


class TokenNumbersSerializer(serializers.Serializer):
    """Tokens of a row."""

    count = serializers.IntegerField()
    min = serializers.IntegerField()
    mean = serializers.FloatField()
    p50 = serializers.IntegerField()
    p95 = serializers.IntegerField()
    p99 = serializers.IntegerField()
    max = serializers.IntegerField()
    total = serializers.IntegerField()
    histogram = BarSerializer(many=True)


class CutShareSerializer(serializers.Serializer):
    max_length = serializers.IntegerField()
    share = serializers.FloatField()


class StatisticsSerializer(serializers.Serializer):
    """`status` done: all is there. queued or running: tokens are still estimated; ask again."""

    status = serializers.CharField()
    progress = DatasetProgressSerializer(allow_null=True)
    rows = serializers.IntegerField(allow_null=True)
    bytes = serializers.IntegerField()
    columns = serializers.ListField(child=serializers.CharField())
    tokens = TokenNumbersSerializer(allow_null=True)
    trained_tokens = serializers.IntegerField(allow_null=True)
    estimated = serializers.BooleanField(help_text="Tokens are estimated from bytes, not counted.")
    turns = serializers.DictField(child=serializers.IntegerField(), help_text="Turns without the system's → rows.")
    roles = serializers.DictField(child=serializers.IntegerField(), help_text="Role → turns.")
    languages = serializers.DictField(child=serializers.IntegerField(), help_text="A guess: ISO 639-1 code → rows.")
    duplicates = serializers.IntegerField()
    near_duplicates = serializers.IntegerField()
    conflicting = serializers.IntegerField()
    refused = serializers.IntegerField(required=False, help_text="Rows the chat template refuses.")
    context = serializers.IntegerField(required=False, allow_null=True, help_text="The model's longest sequence.")  # type: ignore[assignment]
    recommended_max_length = serializers.IntegerField(required=False)
    cut_share = serializers.FloatField(required=False, help_text="Share of the rows that the recommended max_length cuts.")
    cut_share_at = CutShareSerializer(required=False)
    packing_gain = serializers.FloatField(required=False, help_text="How many times fewer sequences packing makes.")


class SplitSerializer(StrictSerializer):
    """How to divide the rows: fractions (each at most 1) or counts."""

    train = serializers.FloatField(min_value=0, max_value=2**53, help_text="Fraction or count of rows to learn from.")
    validation = serializers.FloatField(min_value=0, max_value=2**53, default=0)
    test = serializers.FloatField(min_value=0, max_value=2**53, default=0)
    seed = serializers.IntegerField(default=42, min_value=0, max_value=2**63 - 1, help_text="The same seed gives the same split.")
    shuffle = serializers.BooleanField(default=True, help_text="False keeps the file's order: first train, then the others.")
    stratify_by = serializers.CharField(default="", allow_blank=True, max_length=200, help_text="Column balanced over the splits.")
    group_by = serializers.CharField(
        default="", allow_blank=True, max_length=200, help_text="Column whose equal values stay together; else equal prompts do."
    )


class FixSerializer(StrictSerializer):
    """Which problems to fix."""

    rules = serializers.ListField(
        child=serializers.CharField(max_length=60), max_length=100, help_text="Rules with an automatic fix."
    )


class VersionSerializer(serializers.Serializer):
    """One thing that happened to a dataset's family."""

    what = serializers.CharField(help_text="upload, fix, mixture or split.")
    id = serializers.IntegerField(source="dataset.pk", help_text="The version it made or divided.")
    version = serializers.IntegerField(source="dataset.version")
    parent = serializers.IntegerField(source="dataset.parent_id", allow_null=True)  # type: ignore[assignment]
    status = serializers.CharField(source="dataset.status")
    rows = serializers.IntegerField(source="dataset.rows", allow_null=True)
    content_hash = serializers.CharField(source="dataset.content_hash")
    at = serializers.DateTimeField()
    by = serializers.CharField()
    detail = serializers.SerializerMethodField(help_text="With what it was made.")

    def get_detail(self, entry: Any) -> dict[str, Any]:
        return {name: value for name, value in entry.detail.items() if name not in ("folder", "mapping", "at", "by")}


class DiffQuerySerializer(StrictSerializer):
    """Which changes to show."""

    what = serializers.CharField(default="", allow_blank=True, max_length=20, help_text="changed, removed or added; empty for all.")
    offset = serializers.IntegerField(default=0, min_value=0, max_value=2**53)
    limit = serializers.IntegerField(default=20, min_value=1, max_value=100)

    def get_fields(self) -> dict[str, Any]:  # "with" can't be the name of a class attribute
        return {
            "with": serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="The version before."),
            **super().get_fields(),
        }


class ChangeSerializer(serializers.Serializer):
    """One row before and after; null where it was not there."""

    what = serializers.ChoiceField(["changed", "removed", "added"])
    before = serializers.DictField(allow_null=True)
    after = serializers.DictField(allow_null=True)


class ChangesSerializer(serializers.Serializer):
    """`counts` {same, changed, removed, added} of all rows; `rows` some of the changes."""

    counts = serializers.DictField(child=serializers.IntegerField())
    rows = ChangeSerializer(many=True)
    total = serializers.IntegerField()
    offset = serializers.IntegerField()
    limit = serializers.IntegerField()


class OwnGatesSerializer(StrictSerializer):
    """{rule: tolerated % of the rows}."""

    gates = serializers.JSONField(allow_null=True, help_text="{rule: tolerated % of the rows}; null takes a dataset's own away.")

    def validate_gates(self, value: Any) -> Any:
        if value is not None and not isinstance(value, dict):
            raise serializers.ValidationError('Gates are an object such as {"duplicate": 5}.')
        return value


class GatesSerializer(serializers.Serializer):
    gates = serializers.DictField(child=serializers.FloatField())
    own = serializers.BooleanField(help_text="Whether they are the dataset's own, not its owner's.")


class PartSerializer(StrictSerializer):
    dataset_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    weight = serializers.FloatField(default=1.0)


class MixtureSerializer(StrictSerializer):
    """Datasets of one kind and their shares."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True, default="")
    parts = PartSerializer(many=True)
    rows = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=20_000_000,
        help_text="Rows in all; left out, as many as there are without repeating one.",
    )
    seed = serializers.IntegerField(default=42, min_value=0, max_value=2**63 - 1)
