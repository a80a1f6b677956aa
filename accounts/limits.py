"""How much one person may use: the installation's settings, unless an operator gave this person other numbers. 0 is no limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from accounts.models import User, UserLimits
from finetune.core.errors import Conflict
from finetune.core.templatetags.ui import size


@dataclass(frozen=True)
class Limits:
    """Jobs that run at once, jobs that wait, bytes on disk; dollars a month at cloud providers, and whether a yes lets more through."""

    running_jobs: int
    queued_jobs: int
    storage_bytes: int
    usd_per_month: float = 0.0
    may_confirm: bool = False


def limits_of(user: User) -> Limits:
    """This person's."""
    return _own(UserLimits.objects.filter(user=user).first())


def running_limits() -> dict[int, int]:
    """User id → how many jobs may run at once, of those who have a number of their own."""
    own = UserLimits.objects.filter(running_jobs__isnull=False).values_list("user_id", "running_jobs")
    return {user_id: limit for user_id, limit in own if limit is not None}


def refuse_when_full(user: User, *, incoming: int = 0) -> None:
    """Conflict when this person's files, with `incoming` bytes more, take more of the disk than they may."""
    limit = limits_of(user).storage_bytes
    if not limit:
        return
    used = import_string(settings.STORAGE_USED)(user=user)[user.pk]["total"]  # it lies in an app above
    if used + incoming > limit or used >= limit:
        more = f", and this takes {size(incoming)} more" if incoming else ""
        remedy = "Delete datasets, models or jobs that are not needed any more, or ask an operator for more."
        raise Conflict(f"You use {size(used)} of the {size(limit)} that you may{more}. {remedy}", code="storage_limit")


def _own(row: Any) -> Limits:
    everybody = Limits(
        running_jobs=settings.MAX_RUNNING_JOBS_PER_USER,
        queued_jobs=settings.MAX_QUEUED_JOBS_PER_USER,
        storage_bytes=settings.MAX_STORAGE_BYTES_PER_USER,
        usd_per_month=settings.MAX_USD_PER_MONTH_PER_USER,
        may_confirm=settings.MAY_CONFIRM_MORE_COST,
    )
    names = ("running_jobs", "queued_jobs", "storage_bytes", "usd_per_month", "may_confirm")
    own = {name: getattr(row, name) for name in names if row is not None and getattr(row, name) is not None}
    limits = replace(everybody, **own)
    return replace(limits, usd_per_month=float(limits.usd_per_month))
