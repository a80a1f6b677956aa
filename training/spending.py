"""May this run cost what it is foreseen to cost? One place, so that page, API, start and resume agree."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone

from accounts.limits import limits_of
from accounts.models import User
from finetune.core.errors import Conflict, invalid_field
from training import executors, money, prices
from training.models import TrainingJob

LARGEST_BUDGET = Decimal(100_000)


def refuse_place(*, owner: User, executor: str, hardware: str, num_gpus: int = 1) -> None:
    """Invalid, naming the field, when this person can't run anything there now, or not on this hardware."""
    place = executors.load(executor)
    if place.is_here:
        if hardware:
            raise invalid_field("hardware", "Jobs on this machine take the device that is free. Leave it out.")
        return
    told = place.capabilities(owner)
    if not told.usable:
        raise invalid_field("executor", f"{told.name} can't be used: {told.reason}", code="not_usable")
    found = prices.find_hardware(executor, hardware)
    if found is None:
        names = ", ".join(item.id for item in told.hardware)
        words = f"{told.name} has no hardware “{hardware}”." if hardware else f"Choose what to run on at {told.name}."
        raise invalid_field("hardware", f"{words} There is: {names}.")
    if num_gpus > (found.count if found.kind == "cuda" else 1):
        raise invalid_field(
            "num_gpus", f"{found.name} has {found.count if found.kind == 'cuda' else 0} GPU(s); {num_gpus} are asked for."
        )


def checked_budget(value: Any) -> Decimal | None:
    """USD with two decimals, None for none; Invalid for what is no amount of money."""
    if value in (None, ""):
        return None
    try:
        amount = Decimal(str(value)).quantize(Decimal("0.01"))
    except (InvalidOperation, ValueError):
        raise invalid_field("budget", "An amount in US dollars, such as 5 or 2.50.") from None
    if not Decimal("0.01") <= amount <= LARGEST_BUDGET:
        raise invalid_field("budget", f"Between $0.01 and ${LARGEST_BUDGET:,}.")
    return amount


def refuse_cost(job: TrainingJob, *, confirmed: bool = False) -> None:
    """Before a job is queued that costs money. Invalid, field `budget`, when not even the lowest estimate of what is still to do fits
    into what is left of the job's; Conflict when its owner has no money left this month (`spending_limit`), or has to say yes to more (`confirm_cost`)."""
    if executors.load(job.executor).is_here:
        return
    foreseen = money.foreseen(job)
    left = money.budget_left(job)
    if left is not None and (left <= 0 or foreseen["low"] > left):
        words = f"It is foreseen to cost ${foreseen['low']:.2f} to ${foreseen['high']:.2f}, and ${left:.2f} of the budget is left."
        raise invalid_field(
            "budget", f"{words} Raise the budget, or choose cheaper hardware or a shorter run.", code="budget_too_small"
        )
    limits = limits_of(job.owner)
    if not limits.usd_per_month:
        return
    used = spent_this_month(job.owner, but=job) + money.spent(job)
    most = min(foreseen["high"], left) if left is not None else foreseen["high"]
    if used + most <= limits.usd_per_month:
        return
    words = f"You have used ${used:.2f} of your ${limits.usd_per_month:.2f} for this month, and this may cost ${most:.2f}."
    if not limits.may_confirm:
        raise Conflict(f"{words} Set a smaller budget for the job, or ask an operator for more.", code="spending_limit")
    if not confirmed:
        raise Conflict(f"{words} Start it again and confirm that it may.", code="confirm_cost")


def limits_and_spending(user: User) -> dict[str, float]:
    """{spent, limit}: this person's month, in USD; a limit of 0 is none."""
    return {"spent": spent_this_month(user), "limit": limits_of(user).usd_per_month}


def spent_this_month(owner: User, *, but: TrainingJob | None = None) -> float:
    """What this person's jobs of this calendar month cost: ended ones what they did, others what they may."""
    begin = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    jobs = TrainingJob.objects.filter(owner=owner, queued_at__gte=begin).exclude(executor="local")
    total = 0.0
    for job in jobs.exclude(pk=but.pk if but and but.pk else 0).only("cost", "status", "budget"):
        foreseen = (job.cost.get("estimated") or {}).get("high", 0.0)
        most = min(foreseen, float(job.budget)) if job.budget is not None else foreseen
        total += money.spent(job) if job.is_finished else max(money.spent(job), most)
    return round(total, 4)
