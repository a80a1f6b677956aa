"""JSON shapes of /api/training. They check types and presence; every other refusal is the verbs'."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from training.models import TrainingJob
from training.spec_fields import openapi_schema


@extend_schema_field(openapi_schema())
class ConfigField(serializers.DictField):
    """Hyper-parameters as they are; training.spec_fields.checked_config checks them in the verb."""


class ProgressSerializer(serializers.Serializer):
    """Where a run is. `elapsed_seconds` and `eta_seconds` count training steps only, not evaluation or saving."""

    step = serializers.IntegerField(allow_null=True)
    total_steps = serializers.IntegerField(allow_null=True)
    epoch = serializers.FloatField(allow_null=True)
    fraction = serializers.FloatField(allow_null=True)
    elapsed_seconds = serializers.FloatField(allow_null=True)
    eta_seconds = serializers.FloatField(allow_null=True)
    tokens_per_second = serializers.FloatField(allow_null=True)
    samples_per_second = serializers.FloatField(allow_null=True)

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        return {str(name): instance.get(str(name)) for name in self.fields}


class MemorySerializer(serializers.Serializer):
    peak_bytes = serializers.IntegerField(required=False)
    device = serializers.CharField(required=False)


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()
    hint = serializers.CharField()
    log_tail = serializers.CharField()


class StatusSerializer(serializers.ModelSerializer):
    """The moving part of a job: GET …/status, and what the socket sends."""

    progress = ProgressSerializer(read_only=True)
    metrics = serializers.DictField(child=serializers.FloatField(), read_only=True)
    memory = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    queue_position = serializers.IntegerField(read_only=True, allow_null=True, help_text="1 runs next; null when not waiting.")
    output_model_id = serializers.IntegerField(read_only=True, allow_null=True)
    remote_url = serializers.SerializerMethodField(help_text="The provider's page of the current attempt; empty without.")

    class Meta:
        model = TrainingJob
        fields = [
            "id", "name", "status", "phase", "method", "attempt", "progress", "metrics", "memory", "cost", "error", "queue_position",
            "output_model_id", "remote_url", "last_seq", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(MemorySerializer)
    def get_memory(self, job: TrainingJob) -> dict[str, Any]:
        return job.memory

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_cost(self, job: TrainingJob) -> dict[str, Any]:
        return job.cost

    def get_remote_url(self, job: TrainingJob) -> str:
        return job.remote.get("url", "")

    @extend_schema_field(ErrorSerializer(allow_null=True))
    def get_error(self, job: TrainingJob) -> dict[str, Any] | None:
        return job.error


class TrackerSerializer(serializers.Serializer):
    """A job at a tracker. `error` says what keeps it from being sent, or was given up over once it is `done`."""

    kind = serializers.CharField()
    url = serializers.CharField()
    done = serializers.BooleanField()
    error = serializers.CharField()


class StrictSerializer(serializers.Serializer):
    """Refuses fields it does not know: a misspelt one would otherwise change nothing without a word."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else set()
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in sorted(unknown)})
        return super().to_internal_value(data)


class TrackerPlaceSerializer(StrictSerializer):
    """What is left out is as your account says; the run is named after the job."""

    project = serializers.CharField(required=False, allow_blank=True, help_text="MLflow: the experiment.")
    entity = serializers.CharField(required=False, allow_blank=True, help_text="A team at Weights & Biases.")
    name = serializers.CharField(required=False, allow_blank=True, help_text="Of the run.")
    tags = serializers.ListField(child=serializers.CharField(), required=False)


class TrackerPlacesSerializer(StrictSerializer):
    wandb = TrackerPlaceSerializer(required=False)
    mlflow = TrackerPlaceSerializer(required=False)


class JobDefaultsSerializer(serializers.Serializer):
    """What your new jobs begin with. Everything may be left out."""

    method = serializers.CharField(required=False, allow_blank=True, default="")
    executor = serializers.CharField(required=False, allow_blank=True, default="")
    hardware = serializers.CharField(required=False, allow_blank=True, default="")
    report_to = serializers.ListField(child=serializers.CharField(), required=False, default=list)
    config = ConfigField(required=False, default=dict)


class JobSerializer(StatusSerializer):
    """A job in full."""

    model_id = serializers.IntegerField(read_only=True)
    dataset_id = serializers.IntegerField(read_only=True)
    config = serializers.SerializerMethodField()
    estimate = serializers.SerializerMethodField(help_text="What was foreseen when it was first queued; null without.")
    reproduces = serializers.IntegerField(source="reproduces_id", read_only=True, allow_null=True, help_text="The job it repeats.")
    tracker_places = TrackerPlacesSerializer(read_only=True, help_text="Where there, if not where your account says.")
    trackers = serializers.SerializerMethodField(help_text="Where its curves are sent, once it runs.")
    reproduced_exactly = serializers.BooleanField(
        read_only=True, allow_null=True, help_text="Whether its weights are those of the job it repeats; null while unknown."
    )

    class Meta(StatusSerializer.Meta):
        fields = [
            *StatusSerializer.Meta.fields, "executor", "hardware", "budget", "keep_remote", "priority", "model_id", "dataset_id", "train_split", "eval_split", "config", "estimate",
            "weights_sha256", "reproduces", "reproduced_exactly", "report_to", "tracker_places", "trackers",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(TrackerSerializer(many=True))
    def get_trackers(self, job: TrainingJob) -> list[dict[str, Any]]:
        runs = job.tracker_runs.all() if job.report_to else ()  # type: ignore[attr-defined]
        return [dict(TrackerSerializer(run).data) for run in runs]

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_estimate(self, job: TrainingJob) -> dict[str, Any] | None:
        return job.estimate

    @extend_schema_field(openapi_schema())
    def get_config(self, job: TrainingJob) -> dict[str, Any]:
        return job.config


def job_status(job: TrainingJob) -> dict[str, Any]:
    """The status object as plain JSON values."""
    return dict(StatusSerializer(job).data)


class JobChangesSerializer(StrictSerializer):
    """PATCH of a draft. `config` may name only what changes."""

    name = serializers.CharField(max_length=200)
    model_id = serializers.IntegerField()
    dataset_id = serializers.IntegerField()
    method = serializers.CharField()
    executor = serializers.CharField(required=False)
    hardware = serializers.CharField(
        required=False, allow_blank=True, help_text="Of the provider: see GET /api/training/executors."
    )
    budget = serializers.DecimalField(
        max_digits=10,
        decimal_places=2,
        required=False,
        allow_null=True,
        help_text="USD for all attempts; the run stops when it is used up.",
    )
    keep_remote = serializers.BooleanField(required=False, help_text="Leave what the provider holds, stopped, at the end.")
    train_split = serializers.CharField(required=False, allow_blank=True)
    eval_split = serializers.CharField(required=False, allow_blank=True)
    config = ConfigField(required=False)
    report_to = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Trackers its curves are sent to: wandb, mlflow."
    )
    tracker_places = TrackerPlacesSerializer(required=False, help_text="Where at those trackers, if not where your account says.")


class NewJobSerializer(JobChangesSerializer):
    """POST. `start` queues the job at once; with a template, `method` and `config` may be left out."""

    method = serializers.CharField(required=False)
    template_id = serializers.CharField(required=False, allow_null=True)
    use_defaults = serializers.BooleanField(default=False, help_text="Begin with your own defaults: /api/training/defaults.")
    start = serializers.BooleanField(default=False)
    confirm_cost = serializers.BooleanField(default=False, help_text="Yes, it may cost more than this month's limit.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("method") and not attrs.get("template_id") and not attrs["use_defaults"]:
            raise serializers.ValidationError({"method": ["Name a method, or a template that has one."]})
        return attrs


class ResumeSerializer(serializers.Serializer):
    checkpoint = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, help_text="Go back to the checkpoint of this step; the newest one by default."
    )
    budget = serializers.DecimalField(
        max_digits=10,
        decimal_places=2,
        required=False,
        allow_null=True,
        help_text="A new one, in USD, for all attempts together; null for none. Left out, the old one stays.",
    )
    confirm_cost = serializers.BooleanField(required=False)


class StartSerializer(serializers.Serializer):
    confirm_cost = serializers.BooleanField(required=False, help_text="Yes, it may cost more than this month's limit.")


class EventSerializer(serializers.Serializer):
    """One event of the log. What else it holds depends on `kind`: see the engine's event list in the docs."""

    seq = serializers.IntegerField()
    kind = serializers.CharField()
    attempt = serializers.IntegerField()
    time = serializers.DateTimeField()


class EventsSerializer(serializers.Serializer):
    events = EventSerializer(many=True)
    last_seq = serializers.IntegerField()


class PointSerializer(serializers.Serializer):
    seq = serializers.IntegerField()
    step = serializers.IntegerField()
    epoch = serializers.FloatField(allow_null=True)
    time = serializers.DateTimeField()
    split = serializers.ChoiceField(choices=["train", "eval"])
    elapsed_seconds = serializers.FloatField(allow_null=True)
    values = serializers.DictField(child=serializers.FloatField(allow_null=True))  # type: ignore[assignment]


class MetricsSerializer(serializers.Serializer):
    points = PointSerializer(many=True)
    last_seq = serializers.IntegerField()


class CheckpointSerializer(serializers.Serializer):
    step = serializers.IntegerField()
    attempt = serializers.IntegerField()
    path = serializers.CharField()
    bytes = serializers.IntegerField(allow_null=True)
    time = serializers.DateTimeField()
    kept = serializers.BooleanField(help_text="False once a newer checkpoint took its place.")
    values = serializers.DictField(child=serializers.FloatField(allow_null=True))  # type: ignore[assignment]


class FileSerializer(serializers.Serializer):
    path = serializers.CharField()
    bytes = serializers.IntegerField()
    modified_at = serializers.DateTimeField()


class CommandSerializer(serializers.Serializer):
    command = serializers.CharField()
    spec = serializers.JSONField(help_text="Save it as spec.json in the directory the command names.")


class OptionSerializer(serializers.Serializer):
    """One hyper-parameter of a method."""

    name = serializers.CharField()
    type = serializers.CharField()
    nullable = serializers.BooleanField()
    default = serializers.JSONField(allow_null=True)
    help = serializers.CharField()
    group = serializers.CharField()
    min = serializers.FloatField(allow_null=True)
    above = serializers.FloatField(allow_null=True, help_text="Exclusive lower bound.")
    max = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())
    advanced = serializers.BooleanField()


class MethodSerializer(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()
    help = serializers.CharField()
    dataset_kinds = serializers.ListField(child=serializers.CharField())
    options = OptionSerializer(many=True)


class HardwareSerializer(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    memory_bytes = serializers.IntegerField(allow_null=True)
    price_per_hour = serializers.FloatField(allow_null=True, help_text="USD; null where it costs nothing.")
    count = serializers.IntegerField(help_text="Devices of that memory.")
    price_as_of = serializers.DateField(allow_null=True)
    price_source = serializers.CharField(allow_blank=True)


class ExecutorSerializer(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    usable = serializers.BooleanField()
    reason = serializers.CharField()
    hardware = HardwareSerializer(many=True)
    remedy = serializers.CharField(help_text="The page where what stands in the way can be changed; empty without.")


class DeviceSerializer(serializers.Serializer):
    id = serializers.CharField()
    kind = serializers.CharField()
    name = serializers.CharField()
    host = serializers.CharField()
    memory_bytes = serializers.IntegerField(allow_null=True)
    memory_used_bytes = serializers.IntegerField(allow_null=True)
    utilisation = serializers.FloatField(allow_null=True, help_text="0 to 1.")
    temperature_celsius = serializers.FloatField(allow_null=True)
    bf16 = serializers.BooleanField(allow_null=True, help_text="Whether it has instructions for bfloat16; null where nobody says.")


class PrioritySerializer(serializers.Serializer):
    priority = serializers.IntegerField(help_text="1 high, 0 normal, -1 low.")


class SampleSerializer(serializers.Serializer):
    model_id = serializers.IntegerField()
    dataset_id = serializers.IntegerField()


LOG_TYPE = {(200, "text/plain"): OpenApiTypes.STR}
