"""Read what providers charge today."""

from __future__ import annotations

import logging
from decimal import Decimal

from celery import shared_task
from django.utils import timezone

from accounts.models import Credential, User
from accounts.stored_token import stored_token
from finetune.core import hub_runs
from finetune.core.errors import DomainError
from finetune.core.hub_runs import Machine
from training.models import HardwarePrice

logger = logging.getLogger(__name__)


def refresh_prices(*, user: User | None = None) -> int:
    """Ask those who tell (Hugging Face, for Jobs and Spaces), with this person's token or as nobody; returns how many prices were stored.

    A price that an operator set stays. Unavailable when nobody answers; then nothing changes.
    """
    token = stored_token(user) if user else ""
    told = {"hf_jobs": hub_runs.jobs_machines(token), "hf_spaces": hub_runs.spaces_machines(token)}
    return sum(_store(executor, machine) for executor, machines in told.items() for machine in machines)


@shared_task(name="training.services.refresh_prices.refresh")
def refresh() -> int:
    """Beat's half, once a day. An installation where nobody uses Hugging Face asks nobody."""
    if not Credential.objects.filter(kind=Credential.Kind.HUGGING_FACE, valid=True).exists():
        return 0
    try:
        return refresh_prices()
    except DomainError as error:
        logger.info("Today's prices could not be read: %s", error)
        return 0


def _store(executor: str, machine: Machine) -> bool:
    source = HardwarePrice.Source
    values = {
        "name": machine.name[:100], "kind": machine.kind, "memory_bytes": machine.memory_bytes, "count": machine.count,
        "usd_per_hour": Decimal(str(round(machine.price_per_hour, 4))), "source": source.PROVIDER, "as_of": timezone.now(),
    }  # fmt: skip
    rows = HardwarePrice.objects.filter(executor=executor, hardware=machine.id)
    if rows.filter(source=source.OPERATOR).exists():
        return False
    HardwarePrice.objects.update_or_create(executor=executor, hardware=machine.id, defaults=values)
    return True
