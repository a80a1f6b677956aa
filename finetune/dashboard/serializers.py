"""The shapes of /api/dashboard."""

from __future__ import annotations

from rest_framework import serializers

from training.models import TrainingJob


class JobSummarySerializer(serializers.ModelSerializer):
    """The part of a job that a dashboard shows."""

    progress = serializers.DictField(read_only=True)
    metrics = serializers.DictField(read_only=True)

    class Meta:
        model = TrainingJob
        fields = [
            "id", "name", "status", "phase", "method", "executor", "model_id", "dataset_id", "attempt", "progress", "metrics",
            "output_model_id", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class JobCountsSerializer(serializers.Serializer):
    total = serializers.IntegerField()
    by_status = serializers.DictField(
        child=serializers.IntegerField(), help_text="Status → jobs; statuses without jobs are absent."
    )


class StatsSerializer(serializers.Serializer):
    datasets = serializers.IntegerField()
    models = serializers.IntegerField()
    jobs = JobCountsSerializer()
    recent_jobs = JobSummarySerializer(many=True)
    running_jobs = JobSummarySerializer(many=True, help_text="Jobs that wait or run.")
    storage_bytes = serializers.IntegerField(help_text="Files of your datasets and models.")
    devices = serializers.ListField(child=serializers.DictField(), help_text="See GET /api/training/devices.")
