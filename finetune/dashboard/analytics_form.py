"""The period and filters of the analytics, as page, CSV and API read them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from finetune.dashboard.analytics import Chosen


class ChosenSerializer(serializers.Serializer):
    """Of a query string."""

    days = serializers.IntegerField(default=30, min_value=1, max_value=366, help_text="The last days, today among them.")
    method = serializers.CharField(required=False, allow_blank=True, default="", max_length=20)
    executor = serializers.CharField(required=False, allow_blank=True, default="", max_length=20)
    model_id = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1, max_value=2**63 - 1)


def chosen_in(query: Any) -> Chosen:
    """Raises DRF's ValidationError, naming the field. An empty field of the page's form chooses nothing."""
    form = ChosenSerializer(data={name: value for name, value in query.items() if value != ""})
    form.is_valid(raise_exception=True)
    return Chosen(**form.validated_data)
