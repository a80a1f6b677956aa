"""The shape of GET /api/dashboard/analytics. Seconds are of training steps, money is USD, losses are of succeeded jobs."""

from __future__ import annotations

from rest_framework import serializers


class TotalsSerializer(serializers.Serializer):
    jobs = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True, help_text="Of those that succeeded or failed; null without any.")
    seconds = serializers.FloatField()
    tokens = serializers.IntegerField()
    cost = serializers.FloatField()


class DaySerializer(serializers.Serializer):
    day = serializers.DateField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    tokens = serializers.IntegerField()


class HoursSerializer(serializers.Serializer):
    method = serializers.CharField()
    device = serializers.CharField(allow_blank=True)
    jobs = serializers.IntegerField()
    seconds = serializers.FloatField()
    tokens = serializers.IntegerField()


class LossSerializer(serializers.Serializer):
    method = serializers.CharField()
    model_id = serializers.IntegerField()
    model = serializers.CharField(allow_blank=True)
    jobs = serializers.IntegerField()
    mean_loss = serializers.FloatField(allow_null=True)
    best_loss = serializers.FloatField(allow_null=True)
    best_eval_loss = serializers.FloatField(allow_null=True)


class CostSerializer(serializers.Serializer):
    executor = serializers.CharField()
    jobs = serializers.IntegerField()
    seconds = serializers.FloatField()
    cost = serializers.FloatField()


class MethodCostSerializer(serializers.Serializer):
    method = serializers.CharField()
    jobs = serializers.IntegerField()
    seconds = serializers.FloatField()
    cost = serializers.FloatField()


class UserCostSerializer(serializers.Serializer):
    user = serializers.CharField()
    executor = serializers.CharField()
    method = serializers.CharField()
    jobs = serializers.IntegerField()
    cost = serializers.FloatField()


class EstimateSerializer(serializers.Serializer):
    method = serializers.CharField()
    jobs = serializers.IntegerField(help_text="Succeeded jobs whose duration was foreseen.")
    inside = serializers.IntegerField(help_text="Took as long as foreseen.")
    sooner = serializers.IntegerField()
    later = serializers.IntegerField()
    ratio = serializers.FloatField(allow_null=True, help_text="Real seconds over the middle of what was foreseen.")

    class Meta:
        ref_name = "EstimateAgainstActual"


class TopModelSerializer(serializers.Serializer):
    model_id = serializers.IntegerField()
    model = serializers.CharField(allow_blank=True)
    jobs = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True)
    seconds = serializers.FloatField()
    best_eval_loss = serializers.FloatField(allow_null=True)
    newest = serializers.DateTimeField()


class AnalyticsSerializer(serializers.Serializer):
    days = serializers.IntegerField()
    since = serializers.DateField()
    totals = TotalsSerializer()
    success_rate = serializers.FloatField(source="totals.success_rate", allow_null=True)
    tokens_trained = serializers.IntegerField(source="totals.tokens")
    jobs_per_day = DaySerializer(many=True)
    training_seconds_by_method = HoursSerializer(many=True)
    loss_by_method = LossSerializer(many=True)
    cost_by_executor = CostSerializer(many=True)
    cost_by_method = MethodCostSerializer(many=True)
    cost_by_user = UserCostSerializer(many=True, help_text="Everybody's jobs at providers, for operators; empty for others.")
    estimates = EstimateSerializer(many=True)
    top_models = TopModelSerializer(many=True)
