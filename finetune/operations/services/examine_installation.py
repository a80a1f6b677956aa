"""Is everything an installation rests on as it should be?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import DatabaseError

from finetune.core.logs import redact
from finetune.operations.checks import broker, clock, database, devices, files, hub, keys, orphans, shared_store, workers
from finetune.operations.findings import BAD, WARN, Finding

CHECKS = (database, broker, workers, files, shared_store, devices, keys, hub, clock, orphans)
NEEDS = {workers: broker, keys: database, orphans: database, shared_store: database}


def examine_installation() -> list[Finding]:
    """Every finding, in a fixed order; takes some seconds and changes nothing.

    Made for the moment when something is down: a check that needs what does not answer says so, one that breaks is a finding,
    and every question has a time-out of a few seconds.
    """
    unreachable = {place: place.unreachable() for place in (database, broker)}
    found: list[Finding] = []
    for check in CHECKS:
        needed = NEEDS.get(check)
        if needed is not None and unreachable[needed]:
            found.append(
                Finding(
                    check.NAME, WARN, f"Not looked at: the {needed.NAME} does not answer.", f"Put the {needed.NAME} right first."
                )
            )
        else:
            found += _safely(check.NAME, check.examine)
    return found


def _safely(name: str, examine: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(examine())
    except DatabaseError as error:  # tables or columns that are not there yet
        found.append(Finding(name, WARN, f"Not looked at: {redact(str(error)).strip()}", "Put the database right first."))
    except Exception as error:  # noqa: BLE001 - a doctor must not faint
        text = f"This check broke: {type(error).__name__}: {redact(str(error))}"
        found.append(Finding(name, BAD, text, "Look at the findings above first."))
    return found
