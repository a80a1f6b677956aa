"""Models for operators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from finetune.core.errors import DomainError
from models_app.models import Comparison, Evaluation, Export, LanguageModel, OllamaCopy, OllamaServer
from models_app.services.cancel_evaluation import cancel_evaluation
from models_app.services.delete_model import delete_model


@admin.register(LanguageModel)
class LanguageModelAdmin(admin.ModelAdmin):
    list_display = ("name", "version", "owner", "kind", "source", "status", "is_latest", "parameters", "bytes", "created_at")
    list_filter = ("kind", "source", "status", "is_latest", "method")
    search_fields = ("name", "family", "repo_id", "owner__username", "origin")
    list_select_related = ("owner",)
    raw_id_fields = ("owner", "base_model")
    date_hierarchy = "created_at"
    actions = ("delete_unused",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """What the platform found out or wrote is shown, not edited."""
        editable = {"name", "version_tag", "version_notes", "license"}
        return [field.name for field in LanguageModel._meta.fields if field.name not in editable]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # deleting goes through the verb: see the action

    @admin.action(description="Delete the selected models and their files")
    def delete_unused(self, request: HttpRequest, queryset: Any) -> None:
        for model in queryset:
            try:
                delete_model(model=model)
            except DomainError as error:
                messages.error(request, error.message)


class ReadOnly(admin.ModelAdmin):
    """Shown to operators, written by the platform."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnly):
    list_display = ("id", "owner", "model", "dataset_name", "split", "rows", "status", "restarts", "created_at", "finished_at")
    list_filter = ("status", "kind")
    search_fields = ("dataset_name", "owner__username", "model__name")
    list_select_related = ("owner", "model")
    date_hierarchy = "created_at"
    actions = ("stop",)

    @admin.action(description="Stop the selected evaluations")
    def stop(self, request: HttpRequest, queryset: Any) -> None:
        for evaluation in queryset:
            try:
                cancel_evaluation(evaluation=evaluation)
            except DomainError as error:
                messages.error(request, f"{evaluation.pk}: {error.message}")


@admin.register(Comparison)
class ComparisonAdmin(ReadOnly):
    """What people asked is theirs: an operator sees that there was a comparison, not its texts."""

    list_display = ("id", "owner", "blind", "vote", "voted_at", "created_at")
    list_filter = ("blind", "vote")
    search_fields = ("owner__username",)
    list_select_related = ("owner",)
    fields = ("owner", "blind", "vote", "voted_at", "kept_in", "created_at")


@admin.register(Export)
class ExportAdmin(ReadOnly):
    list_display = ("__str__", "owner", "status", "bytes", "created_at")
    list_filter = ("status", "format", "quantization")
    search_fields = ("model__name", "owner__username")
    list_select_related = ("owner", "model")


@admin.register(OllamaCopy)
class OllamaCopyAdmin(ReadOnly):
    list_display = ("name", "server", "owner", "status", "route", "updated_at")
    list_filter = ("status", "route")
    search_fields = ("name", "made_of", "owner__username")
    list_select_related = ("owner",)


@admin.register(OllamaServer)
class OllamaServerAdmin(ReadOnly):
    list_display = ("owner", "url", "updated_at")
    list_select_related = ("owner",)
