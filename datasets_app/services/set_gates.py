"""Say how many rows with which problem are tolerated, for one dataset or for all of one's own."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from datasets_app.announce import announce
from datasets_app.formats.rules import RULES, severity_of
from datasets_app.gates import FAILED, failures, gates_of
from datasets_app.models import Dataset, QualityGates
from datasets_app.services.delete_dataset import refuse_in_use
from finetune.core.errors import Conflict, invalid_field

S = Dataset.Status


def set_gates(*, owner: User, gates: dict[str, Any] | None, dataset: Dataset | None = None) -> dict[str, float]:
    """{rule: tolerated % of the rows}; of one dataset, which is judged again at once, or the owner's, for files read from now on.

    None takes a dataset's own gates away, so that the owner's hold. Invalid for an unknown rule or a share outside 0–100;
    Conflict while the dataset is being read or a queued or running job learns from it.
    """
    checked = None if gates is None else _checked(gates)
    if dataset is None:
        QualityGates.objects.update_or_create(owner=owner, defaults={"gates": checked or {}})
        return checked or {}
    if dataset.is_busy:
        raise Conflict("The dataset is still being read. Try again in a moment.", code="not_ready")
    if not dataset.examined:
        raise Conflict("The doctor still looks at the rows. Try again when that is done.", code="not_ready")
    refuse_in_use(dataset)
    dataset.gates = checked
    return _judge_again(dataset)


def _checked(gates: dict[str, Any]) -> dict[str, float]:
    found = {}
    for rule, tolerated in gates.items():
        if rule not in RULES or rule == FAILED:
            raise invalid_field("gates", f"There is no rule “{str(rule)[:60]}”.")
        if isinstance(tolerated, bool) or not isinstance(tolerated, (int, float)) or not 0 <= tolerated <= 100:
            raise invalid_field("gates", f"“{rule}” tolerates a share of the rows: 0 to 100 %.")
        found[rule] = float(tolerated)
    return found


def _judge_again(dataset: Dataset) -> dict[str, float]:
    """The status and the failed gates of the report; what reading found is not read again."""
    gates, report = gates_of(dataset), dataset.report
    counts = {rule: count for rule, count in report.get("counts", {}).items() if rule != FAILED}
    failed = failures(gates, counts, dataset.rows or 0)
    kept = [problem for problem in report.get("problems", []) if problem["rule"] != FAILED]
    if failed:
        counts[FAILED] = len(failed)
    status = S.READY if report.get("valid_rows", dataset.rows) and not failed else S.INVALID
    values = {
        "gates": dataset.gates,
        "report": report | {"counts": counts, "problems": [problem.as_dict() for problem in failed] + kept},
        "errors": sum(count for rule, count in counts.items() if severity_of(rule) == "error"),
        "updated_at": timezone.now(),
    }
    if not dataset.move(status, when=(S.READY, S.INVALID), **values):
        raise Conflict("The dataset is being read again. Try again in a moment.")
    transaction.on_commit(partial(announce, dataset.pk))
    return gates
