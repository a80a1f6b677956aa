"""Make the next version of a dataset with automatic fixes applied. The version it is made from stays as it is."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.limits import refuse_when_full
from accounts.models import User
from datasets_app.formats.rules import RULES, fixable
from datasets_app.models import Dataset
from datasets_app.services.preview_dataset import refuse_unready
from datasets_app.services.validate_dataset import ingest
from finetune.core.errors import Conflict, invalid_field

TRIES = 5  # somebody else may take the same version number at the same moment


def fix_dataset(*, dataset: Dataset, rules: list[str], by: User | None = None) -> Dataset:
    """The new version; its file is written and checked in the background. Rows that could not be read don't come along.

    Invalid for an unknown rule, one without an automatic fix, or when none of them was found; Conflict while the dataset has
    no rows, and when its owner has no room left.
    """
    if not dataset.examined:
        raise Conflict("The doctor still looks at the rows. Try again when that is done.", code="not_ready")
    _refuse_rules(dataset, rules)
    refuse_unready(dataset, gated=True)
    refuse_when_full(dataset.owner)
    for _ in range(TRIES):
        try:
            with transaction.atomic():
                made = _next_version(dataset, list(dict.fromkeys(rules)), by)
                ingest.delay_on_commit(made.pk)
                return made
        except IntegrityError:
            continue
    raise Conflict("Other versions are being made at the same time. Try again.")


def _refuse_rules(dataset: Dataset, rules: list[str]) -> None:
    if not rules:
        raise invalid_field("rules", f"Name at least one rule to fix: {', '.join(fixable())}.")
    for rule in rules:
        if rule not in RULES:
            raise invalid_field("rules", f"There is no rule “{rule[:60]}”.")
        if not RULES[rule].fix:
            raise invalid_field("rules", f"“{RULES[rule].title}” has no automatic fix.")
    if not dataset.is_busy and not any(dataset.report.get("counts", {}).get(rule) for rule in rules):
        raise invalid_field("rules", "None of these problems was found in this version, so there is nothing to fix.")


def _next_version(dataset: Dataset, rules: list[str], by: User | None) -> Dataset:
    newest = Dataset.objects.filter(family=dataset.family).aggregate(Max("version"))["version__max"]
    detail = {
        "rules": rules,
        "by": by.username if by else "",
        "parent_version": dataset.version,
        "parent_hash": dataset.content_hash,
    }
    return Dataset.objects.create(
        owner=dataset.owner,
        name=dataset.name,
        description=dataset.description,
        family=dataset.family,
        version=newest + 1,
        parent=dataset,
        origin=Dataset.Origin.FIX,
        origin_detail=detail,
        source_name=f"{dataset.source_name.split('.')[0][:200] or 'dataset'}.v{newest + 1}.jsonl",
        checks=dataset.checks,
        gates=dataset.gates,
    )
