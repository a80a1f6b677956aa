"""Jobs and their log for operators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone

from accounts.person import person
from finetune.core.errors import DomainError
from training.models import DrainedWorker, HardwarePrice, JobEvent, JobTemplate, QueuePause, TrainingJob
from training.services.admit_worker import admit_worker
from training.services.cancel_job import cancel_job
from training.services.delete_job import delete_job
from training.services.delete_template import delete_template
from training.services.move_up_job import move_up_job
from training.services.open_queue import open_queue
from training.services.reproduce_job import reproduce_job
from training.services.resume_job import resume_job


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows the platform writes are looked at here; what may be done to them are actions that call the verbs."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(HardwarePrice)
class HardwarePriceAdmin(admin.ModelAdmin):
    """Prices an operator sets come before the providers' own and before the list that came with this version."""

    list_display = ("executor", "hardware", "name", "usd_per_hour", "source", "as_of")
    list_filter = ("executor", "source")
    exclude = ("source", "as_of")

    def save_model(self, request: HttpRequest, obj: HardwarePrice, form: Any, change: bool) -> None:
        obj.source, obj.as_of = HardwarePrice.Source.OPERATOR, timezone.now()
        super().save_model(request, obj, form, change)


@admin.register(TrainingJob)
class TrainingJobAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "owner",
        "status",
        "phase",
        "method",
        "executor",
        "priority",
        "attempt",
        "restarts",
        "lease_owner",
        "created_at",
    )
    list_filter = ("status", "method", "executor", "created_at")
    search_fields = ("name", "owner__username", "model__name", "dataset__name")
    list_select_related = ("owner",)
    date_hierarchy = "created_at"
    actions = ("move_up_selected", "cancel_selected", "resume_selected", "reproduce_selected", "delete_selected_jobs")

    @admin.action(description="Move the selected jobs to the front of the queue")
    def move_up_selected(self, request: HttpRequest, queryset: Any) -> None:
        _each(request, queryset, functools.partial(move_up_job, by=person(request)))

    @admin.action(description="Cancel the selected jobs")
    def cancel_selected(self, request: HttpRequest, queryset: Any) -> None:
        _each(request, queryset, cancel_job)

    @admin.action(description="Resume the selected jobs")
    def resume_selected(self, request: HttpRequest, queryset: Any) -> None:
        _each(request, queryset, resume_job)

    @admin.action(description="Run the selected jobs once more, to compare the weights")
    def reproduce_selected(self, request: HttpRequest, queryset: Any) -> None:
        _each(request, queryset, reproduce_job)

    @admin.action(description="Delete the selected jobs, their logs and checkpoints")
    def delete_selected_jobs(self, request: HttpRequest, queryset: Any) -> None:
        _each(request, queryset, delete_job)


@admin.register(JobTemplate)
class JobTemplateAdmin(ReadOnlyAdmin):
    """People's own templates; the built-in ones are code."""

    list_display = ("name", "owner", "method", "description", "updated_at")
    list_filter = ("method", "updated_at")
    search_fields = ("name", "description", "owner__username")
    list_select_related = ("owner",)
    actions = ("delete_selected_templates",)

    @admin.action(description="Delete the selected templates")
    def delete_selected_templates(self, request: HttpRequest, queryset: Any) -> None:
        for template in queryset:
            delete_template(template=template)


@admin.register(JobEvent)
class JobEventAdmin(ReadOnlyAdmin):
    list_display = ("job", "seq", "attempt", "kind", "time", "payload")
    list_filter = ("kind", "time")
    search_fields = ("job__name",)
    list_select_related = ("job",)
    show_full_result_count = False


@admin.register(QueuePause)
class QueuePauseAdmin(ReadOnlyAdmin):
    """Pausing is done on the queue's page, where one sees whom it keeps waiting."""

    list_display = ("executor", "reason", "paused_by", "paused_at")
    list_filter = ("executor",)
    search_fields = ("reason",)
    list_select_related = ("paused_by",)
    actions = ("open_selected",)

    @admin.action(description="Open the selected queues")
    def open_selected(self, request: HttpRequest, queryset: Any) -> None:
        for pause in queryset:
            open_queue(by=person(request), executor=pause.executor)


@admin.register(DrainedWorker)
class DrainedWorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "drained_by", "drained_at")
    list_filter = ("drained_at",)
    search_fields = ("name",)
    list_select_related = ("drained_by",)
    actions = ("admit_selected",)

    @admin.action(description="Let the selected workers take jobs again")
    def admit_selected(self, request: HttpRequest, queryset: Any) -> None:
        for worker in queryset:
            admit_worker(by=person(request), name=worker.name)


def _each(request: HttpRequest, jobs: Any, verb: Callable[..., Any]) -> None:
    for job in jobs:
        try:
            verb(job=job)
        except DomainError as error:
            messages.error(request, f"{job.name}: {error.message}")
