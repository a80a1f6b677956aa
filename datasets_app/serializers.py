"""The JSON forms of a dataset and of what can be asked about it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from datasets_app.formats.rules import RULES
from datasets_app.models import Dataset
from datasets_app.services.download_dataset import FORMATS
from datasets_app.services.preview_dataset import MAX_ROWS


class ProblemCountsSerializer(serializers.Serializer):
    """How many problems were found."""

    errors = serializers.IntegerField()  # type: ignore[assignment]
    warnings = serializers.IntegerField()


class DatasetProgressSerializer(serializers.Serializer):
    """How far reading has come."""

    done = serializers.IntegerField()
    total = serializers.IntegerField()
    unit = serializers.ChoiceField(["bytes", "rows"])
    rate = serializers.FloatField(help_text="Units a second.")
    eta_seconds = serializers.FloatField(allow_null=True)


class DatasetSerializer(serializers.ModelSerializer):
    """The dataset object of the API; sockets send the same."""

    rows = serializers.IntegerField(read_only=True, allow_null=True, help_text="Rows in the file, usable or not.")
    columns = serializers.ListField(child=serializers.CharField(), read_only=True, help_text="As the file names them.")
    mapping = serializers.DictField(
        read_only=True, help_text='Our field → their column, {"path": …}, {"const": …} or {"template": …}; and "options".'
    )
    splits = serializers.DictField(child=serializers.IntegerField(), read_only=True, help_text="Split → usable rows.")
    split_plan = serializers.SerializerMethodField(
        help_text="How the rows were divided, and rows found in two splits; null before."
    )
    problems = ProblemCountsSerializer(read_only=True)
    progress = DatasetProgressSerializer(read_only=True, allow_null=True)
    examined = serializers.BooleanField(
        read_only=True,
        help_text="False while the doctor still looks at rows that can be used already; then its findings are incomplete.",
    )

    division = serializers.SerializerMethodField(
        help_text="A split that is being made, or could not be: {state: queued | running | failed, done?, total?, error?}; null otherwise."
    )

    class Meta:
        model = Dataset
        fields = (
            *("id", "name", "description", "status", "format", "kind", "rows", "bytes", "columns", "mapping", "content_hash"),
            *("source_name", "version", "parent", "origin", "splits", "split_plan", "problems"),
            *("created_at", "updated_at", "progress", "examined", "division"),
        )
        read_only_fields = tuple(set(fields) - {"name", "description"})

    def get_split_plan(self, dataset: Dataset) -> dict[str, Any] | None:
        return {name: value for name, value in dataset.split_plan.items() if name not in ("folder", "mapping", "rows")} or None

    def get_division(self, dataset: Dataset) -> dict[str, Any] | None:
        shown = ("state", "done", "total", "error")
        return None if dataset.division is None else {name: dataset.division[name] for name in shown if name in dataset.division}


class ChangeDatasetSerializer(serializers.Serializer):
    """What may be changed about a dataset."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)


class MappedSerializer(serializers.Serializer):
    """What every upload may say about its files."""

    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True, default="")
    mapping = serializers.CharField(
        max_length=10_000,
        required=False,
        allow_blank=True,
        default="",
        help_text='JSON, our field → your column: {"prompt": "question", "completion": "answer"}. In place of a column also '
        '{"path": "a.b[0].c"}, {"const": "text"} or {"template": "{title}: {body}"}; "options" say how the file is read '
        "(docs/data-formats.md).",
    )


class UploadSerializer(MappedSerializer):
    """One file."""

    file = serializers.FileField(
        allow_empty_file=True, help_text="JSON, JSONL, CSV, TSV, Parquet or plain text, also packed as .gz or .zst."
    )
    name = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class UploadBatchSerializer(MappedSerializer):
    """Several files, or ZIP archives of files."""

    files = serializers.ListField(child=serializers.FileField(allow_empty_file=True), allow_empty=False)


class RefusalSerializer(serializers.Serializer):
    """Why a file was not taken, in the shape of every error."""

    detail = serializers.CharField()
    code = serializers.CharField()
    fields = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)  # type: ignore[assignment]


class UploadedSerializer(serializers.Serializer):
    """What became of one file."""

    filename = serializers.CharField()
    ok = serializers.BooleanField()
    dataset = DatasetSerializer(required=False)
    note = serializers.CharField(required=False, help_text="Where a dataset_info.json was followed.")
    error = RefusalSerializer(required=False)


class UploadedListSerializer(serializers.Serializer):
    results = UploadedSerializer(many=True)


class StrictSerializer(serializers.Serializer):
    """Refuses names it does not know: a parameter that is silently ignored would give another answer than was asked for."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if hasattr(data, "keys") else []
        if unknown:
            raise serializers.ValidationError({name: ["This parameter is not known here."] for name in unknown})
        return super().to_internal_value(data)


class ValidateSerializer(StrictSerializer):
    """Read the file again."""

    mapping = serializers.JSONField(
        required=False, allow_null=True, help_text="Our field → your column; {} takes the mapping away, left out it stays."
    )
    tokenizer_model_id = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=2**63 - 1,
        help_text="Check with this model's tokenizer and chat template; null: without.",
    )
    max_length = serializers.IntegerField(
        required=False, allow_null=True, min_value=8, max_value=1_048_576, help_text="Tokens after which training cuts a row."
    )


class PreviewQuerySerializer(StrictSerializer):
    """Which rows to show."""

    offset = serializers.IntegerField(default=0, min_value=0, max_value=2**53)
    limit = serializers.IntegerField(default=20, min_value=1, max_value=MAX_ROWS)
    search = serializers.CharField(default="", allow_blank=True, max_length=500)
    split = serializers.CharField(default="", allow_blank=True, max_length=50)
    rule = serializers.CharField(
        default="", allow_blank=True, max_length=60, help_text="Only rows kept as examples of this problem."
    )
    model_id = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="Also show the rows as this model will see them."
    )
    max_length = serializers.IntegerField(
        required=False, min_value=8, max_value=1_048_576, help_text="Where training cuts a row, in tokens."
    )


class SegmentSerializer(serializers.Serializer):
    """A stretch of what the model sees; `cut` lies beyond max_length."""

    text = serializers.CharField()
    trained = serializers.BooleanField()
    cut = serializers.BooleanField()


class PreviewSerializer(serializers.Serializer):
    """Normalised rows: `line` of the file, and `messages` (with `tools`), `text`, or the turns of a comparison."""

    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.DictField())
    total = serializers.IntegerField()
    offset = serializers.IntegerField()
    limit = serializers.IntegerField()
    rendered = serializers.ListField(  # type: ignore[assignment]
        child=SegmentSerializer(many=True), required=False, help_text="With model_id: each row as the model will see it."
    )


class DownloadQuerySerializer(StrictSerializer):
    """What to download."""

    format = serializers.CharField(default="original", help_text=f"One of {', '.join(FORMATS)}.")
    split = serializers.CharField(default="", allow_blank=True, max_length=50)


class ProblemSerializer(serializers.Serializer):
    """One finding. `line` counts the file's lines from 1, `row` its rows; null where it is about the whole file."""

    rule = serializers.CharField()
    severity = serializers.ChoiceField(["error", "warning", "info"])
    row = serializers.IntegerField(allow_null=True)
    line = serializers.IntegerField(allow_null=True)
    column = serializers.CharField(allow_blank=True)
    path = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
    excerpt = serializers.CharField(allow_blank=True)
    fix = serializers.CharField(required=False, help_text="What the automatic fix does (POST …/fix); absent where there is none.")


class ValidationSerializer(serializers.Serializer):
    """What reading found: all problems counted, the first 50 of each rule shown."""

    status = serializers.ChoiceField(Dataset.Status.values)
    rows = serializers.IntegerField(allow_null=True)
    valid_rows = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())
    problems = ProblemSerializer(many=True)
    suggestion = serializers.DictField(
        child=serializers.CharField(), help_text="A mapping that was taken by the columns' names; {} for none."
    )


def validation_of(dataset: Dataset) -> dict[str, Any]:
    """The validation object; empty while the file is being read."""
    report = {} if dataset.is_busy else dataset.report
    empty = {"valid_rows": 0, "counts": {}, "problems": [], "suggestion": {}}
    problems = [problem | _fix_of(problem["rule"]) for problem in report.get("problems", [])]
    return ValidationSerializer({"status": dataset.status, "rows": dataset.rows, **empty, **report, "problems": problems}).data


def _fix_of(rule: str) -> dict[str, str]:
    return {"fix": RULES[rule].fix} if rule in RULES and RULES[rule].fix else {}
