"""Models for operators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from finetune.core.errors import DomainError
from models_app.models import LanguageModel
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
