"""What a person's ended jobs add up to. The database groups, twice: by day, and by everything else that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, F, Max, Min, Q, Sum
from django.utils import timezone

from finetune.core.querysets import OwnedQuerySet
from finetune.core.templatetags.ui import executor_words, method_words
from finetune.dashboard.costs import cost_by_user
from finetune.dashboard.models import JobOutcome
from finetune.dashboard.outcomes import gather_outcomes
from finetune.dashboard.viewer import Viewer
from models_app.models import LanguageModel

Group = dict[str, Any]
Rows = list[dict[str, Any]]
PERIODS = (7, 30, 90, 365)
ENDS = ("succeeded", "failed", "cancelled")
TOP = 10


@dataclass(frozen=True)
class Chosen:
    """The last `days` days, and what to leave out."""

    days: int = 30
    method: str = ""
    executor: str = ""
    model_id: int | None = None

    @property
    def since(self) -> date:
        """The first day that counts; today is the last."""
        return timezone.now().date() - timedelta(days=self.days - 1)


def analyse(user: Viewer, chosen: Chosen) -> dict[str, Any]:
    """Every table of the page, by name, with `totals`. Only the person's own jobs, each by its last outcome; `cost_by_user` alone is of
    everybody, and for operators only."""
    gather_outcomes(user)
    rows = _ended_in(user, chosen)
    groups = _groups(rows)
    names = dict(LanguageModel.objects.filter(pk__in={group["model_id"] for group in groups}).values_list("pk", "name"))
    return {
        "days": chosen.days,
        "since": chosen.since,
        "totals": _totals(groups),
        "jobs_per_day": _per_day(_days(rows), chosen),
        "training_seconds_by_method": _hours(groups),
        "loss_by_method": _loss(groups, names),
        "cost_by_executor": _cost(groups, "executor"),
        "cost_by_method": _cost(groups, "method"),
        "cost_by_user": cost_by_user(user, chosen),
        "estimates": _estimates(groups),
        "top_models": _top(groups, names),
    }


def _ended_in(user: Viewer, chosen: Chosen) -> OwnedQuerySet:
    rows = JobOutcome.objects.for_user(user).filter(day__gte=chosen.since).order_by()
    for name in ("method", "executor", "model_id"):
        if value := getattr(chosen, name):
            rows = rows.filter(**{name: value})
    return rows


def _days(rows: OwnedQuerySet) -> list[Group]:
    """Counts and tokens by day and outcome; an index has all of it."""
    return list(rows.values("day", "status").annotate(jobs=Count("pk"), learned=Sum("tokens")))


def _groups(rows: OwnedQuerySet) -> list[Group]:
    """Everything else, by everything else: a few hundred groups at most."""
    good, foreseen = Q(status="succeeded"), Q(status="succeeded", foreseen_high__isnull=False)
    inside = foreseen & Q(seconds__gte=F("foreseen_low"), seconds__lte=F("foreseen_high"))
    return list(
        rows.values("status", "method", "executor", "device", "model_id").annotate(
            jobs=Count("pk"),
            spent=Sum("seconds"),
            learned=Sum("tokens"),
            paid=Sum("cost"),
            loss_sum=Sum("loss", filter=good, default=0.0),
            losses=Count("loss", filter=good),
            best=Min("loss", filter=good),
            best_eval=Min("eval_loss", filter=good),
            foreseen=Count("foreseen_high", filter=good),
            inside=Count("pk", filter=inside),
            sooner=Count("pk", filter=foreseen & Q(seconds__lt=F("foreseen_low"))),
            foreseen_seconds=Sum((F("foreseen_low") + F("foreseen_high")) / 2.0, filter=foreseen, default=0.0),
            real_seconds=Sum("seconds", filter=foreseen, default=0.0),
            newest=Max("finished_at"),
        )
    )


def _by(groups: Iterable[Group], *keys: str) -> dict[tuple, list[Group]]:
    found: dict[tuple, list[Group]] = {}
    for group in groups:
        found.setdefault(tuple(group[key] for key in keys), []).append(group)
    return found


def _sum(groups: list[Group], name: str) -> Any:
    return sum(group[name] or 0 for group in groups)


def _least(groups: list[Group], name: str) -> float | None:
    return min((group[name] for group in groups if group[name] is not None), default=None)


def _ended(groups: list[Group], status: str) -> int:
    return sum(group["jobs"] for group in groups if group["status"] == status)


def _rate(groups: list[Group]) -> float | None:
    """Of the jobs that ran to an end of their own; a cancelled one says nothing of success."""
    good, bad = _ended(groups, "succeeded"), _ended(groups, "failed")
    return good / (good + bad) if good + bad else None


def _totals(groups: list[Group]) -> dict[str, Any]:
    ends = {status: _ended(groups, status) for status in ENDS}
    sums = {"seconds": _sum(groups, "spent"), "tokens": _sum(groups, "learned"), "cost": round(_sum(groups, "paid"), 2)}
    return {"jobs": sum(ends.values()), **ends, "success_rate": _rate(groups), **sums}


def _per_day(groups: list[Group], chosen: Chosen) -> Rows:
    """Every day of the period, those without a job too."""
    days = _by(groups, "day")
    found = []
    for number in range(chosen.days):
        day = chosen.since + timedelta(days=number)
        mine = days.get((day,), [])
        found.append({"day": day, **{status: _ended(mine, status) for status in ENDS}, "tokens": _sum(mine, "learned")})
    return found


def _table(groups: list[Group], keys: tuple[str, ...], row: Callable[[list[Group]], dict[str, Any]], most: str) -> Rows:
    """One row for each combination of `keys`, the one with the largest `most` first."""
    found = [dict(zip(keys, values, strict=True)) | row(mine) for values, mine in _by(groups, *keys).items()]
    return sorted(found, key=lambda each: (-(each[most] or 0), *(str(each[key]) for key in keys)))


def _hours(groups: list[Group]) -> Rows:
    return _table(
        groups,
        ("method", "device"),
        lambda mine: {"jobs": _sum(mine, "jobs"), "seconds": _sum(mine, "spent"), "tokens": _sum(mine, "learned")},
        "seconds",
    )


def _loss(groups: list[Group], names: dict[int, str]) -> Rows:
    def row(mine: list[Group]) -> dict[str, Any]:
        count = _sum(mine, "losses")
        mean = _sum(mine, "loss_sum") / count if count else None
        return {"jobs": count, "mean_loss": mean, "best_loss": _least(mine, "best"), "best_eval_loss": _least(mine, "best_eval")}

    found = [row for row in _table(groups, ("method", "model_id"), row, "jobs") if row["jobs"]]
    return [{**row, "model": names.get(row["model_id"], "")} for row in found]


def _cost(groups: list[Group], key: str) -> Rows:
    return _table(
        groups,
        (key,),
        lambda mine: {"jobs": _sum(mine, "jobs"), "seconds": _sum(mine, "spent"), "cost": round(_sum(mine, "paid"), 4)},
        "cost",
    )


def _estimates(groups: list[Group]) -> Rows:
    """How the durations that were foreseen compare with those that came: `ratio` above 1 took longer than the middle of the range."""

    def row(mine: list[Group]) -> dict[str, Any]:
        count, inside, sooner = (_sum(mine, name) for name in ("foreseen", "inside", "sooner"))
        foreseen = _sum(mine, "foreseen_seconds")
        ratio = _sum(mine, "real_seconds") / foreseen if foreseen else None
        return {"jobs": count, "inside": inside, "sooner": sooner, "later": count - inside - sooner, "ratio": ratio}

    return [row for row in _table(groups, ("method",), row, "jobs") if row["jobs"]]


def _top(groups: list[Group], names: dict[int, str]) -> Rows:
    """The base models that were trained most."""

    def row(mine: list[Group]) -> dict[str, Any]:
        return {
            "jobs": _sum(mine, "jobs"),
            "success_rate": _rate(mine),
            "seconds": _sum(mine, "spent"),
            "best_eval_loss": _least(mine, "best_eval"),
            "newest": max(group["newest"] for group in mine),
        }

    return [{**row, "model": names.get(row["model_id"], "")} for row in _table(groups, ("model_id",), row, "jobs")[:TOP]]


def choices(user: Viewer) -> dict[str, list[tuple[Any, str]]]:
    """What can be chosen: only what this person has used."""
    rows = JobOutcome.objects.for_user(user).order_by()
    models = LanguageModel.objects.filter(pk__in=rows.values("model_id")).order_by("name").values_list("pk", "name")
    return {
        "methods": [(name, method_words(name)) for name in sorted(rows.values_list("method", flat=True).distinct())],
        "executors": [(name, executor_words(name)) for name in sorted(rows.values_list("executor", flat=True).distinct())],
        "models": list(models),
    }
