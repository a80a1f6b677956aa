"""The JSON forms of imports, saved mappings and what a mapping would make of the first rows."""

from __future__ import annotations

from rest_framework import serializers

from datasets_app.models import SavedMapping
from datasets_app.serializers import StrictSerializer


class ImportHubSerializer(StrictSerializer):
    """Which data set of the Hub, and which part of it."""

    repo_id = serializers.CharField(max_length=300, help_text="owner/name, or the page's address.")
    subset = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    split = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=100, help_text="Without one: train, or all there is."
    )
    revision = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=200,
        help_text="Branch, tag or commit; without one the default branch.",
    )
    name = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    description = serializers.CharField(required=False, allow_blank=True, default="", max_length=20_000)


class SavedMappingSerializer(serializers.ModelSerializer):
    """A mapping kept under a name."""

    mapping = serializers.DictField(
        help_text='Our field → their column, {"path": …}, {"const": …} or {"template": …}; and "options".'
    )

    class Meta:
        model = SavedMapping
        fields = ("id", "name", "mapping", "updated_at")
        read_only_fields = ("id", "updated_at")
        validators: list = []  # a name used again replaces the mapping


class MappingGivenSerializer(StrictSerializer):
    """A mapping to try."""

    mapping = serializers.JSONField(required=False, allow_null=True, default=None)


class MappedRowSerializer(serializers.Serializer):
    """One of the first rows: as it is, and normalised or why not."""

    line = serializers.IntegerField(allow_null=True)
    raw = serializers.CharField(allow_blank=True, help_text="The beginning of the row.")
    row = serializers.DictField()
    error = serializers.CharField(allow_blank=True)


class MappingPreviewSerializer(serializers.Serializer):
    """What the first rows would become."""

    columns = serializers.ListField(child=serializers.CharField())
    format = serializers.CharField(allow_blank=True)
    kind = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    rows = MappedRowSerializer(many=True)
