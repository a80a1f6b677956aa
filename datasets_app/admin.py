"""What an operator needs to see of datasets."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import delete_dataset
from datasets_app.services.validate_dataset import validate_dataset
from finetune.core.errors import DomainError


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):
    list_display = ("name", "owner", "status", "format", "kind", "rows", "bytes", "errors", "warnings", "created_at")
    list_filter = ("status", "format", "kind", "created_at", ("owner", admin.RelatedOnlyFieldListFilter))
    search_fields = ("name", "description", "source_name", "content_hash", "owner__username", "owner__email")
    list_select_related = ("owner",)
    date_hierarchy = "created_at"
    readonly_fields = tuple(field.name for field in Dataset._meta.fields if field.name not in {"name", "description"})
    actions = ("check_again",)

    @admin.action(description="Read the files again")
    def check_again(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        for dataset in queryset:
            try:
                validate_dataset(dataset=dataset)
            except DomainError as error:
                self.message_user(request, f"{dataset}: {error.message}", messages.ERROR)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a dataset begins with an upload

    def delete_model(self, request: HttpRequest, obj: Dataset) -> None:
        delete_dataset(dataset=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for dataset in queryset:
            delete_dataset(dataset=dataset)
