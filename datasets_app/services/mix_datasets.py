"""Combine several datasets into a new one, each with a weight."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from accounts.limits import refuse_when_full
from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.preview_dataset import refuse_unready
from datasets_app.services.validate_dataset import ingest
from finetune.core.errors import invalid_field

MOST_PARTS, MOST_ROWS = 20, 20_000_000


@dataclass(frozen=True)
class Part:
    """One dataset of a mixture; its share of the rows is its weight among all weights."""

    dataset: Dataset
    weight: float


def mix_datasets(
    *, owner: User, name: str, parts: list[Part], rows: int | None = None, seed: int = 42, description: str = ""
) -> Dataset:
    """A new dataset, written and checked in the background. Without `rows` it is as large as it can be without repeating a row;
    with more rows than a part has, its rows are repeated evenly. Which rows are taken depends on the seed alone.

    Invalid for fewer than two parts, a weight that is not above 0, or datasets of different kinds; Conflict while one has no rows, and
    when the owner has no room left.
    """
    if not name.strip():
        raise invalid_field("name", "Give the mixture a name.")
    refuse_parts(parts)
    counts = rows_of_parts([(usable_rows(part.dataset), part.weight) for part in parts], rows)
    described = [
        {"dataset_id": part.dataset.pk, "name": part.dataset.name, "version": part.dataset.version,
         "content_hash": part.dataset.content_hash, "weight": part.weight, "rows": count}
        for part, count in zip(parts, counts, strict=True)
    ]  # fmt: skip
    refuse_when_full(owner)
    with transaction.atomic():
        made = Dataset.objects.create(
            owner=owner,
            name=name.strip()[:200],
            description=description,
            origin=Dataset.Origin.MIXTURE,
            origin_detail={"parts": described, "seed": seed, "by": owner.username},
            source_name="mixture.jsonl",
        )
        ingest.delay_on_commit(made.pk)
    return made


def rows_of_parts(parts: list[tuple[int, float]], rows: int | None) -> list[int]:
    """(usable rows, weight) of each part → how many rows of it are taken, at least one each."""
    total = sum(weight for _, weight in parts)
    size = rows if rows is not None else min(int(usable * total / weight) for usable, weight in parts)
    if not len(parts) <= size <= MOST_ROWS:
        raise invalid_field("rows", f"A mixture has from one row of each part to {MOST_ROWS:,} rows; this would have {size:,}.")
    return [
        max(1, round(size * weight / total)) if rows is not None else max(1, min(usable, round(size * weight / total)))
        for usable, weight in parts
    ]


def refuse_parts(parts: list[Part]) -> None:
    if not 2 <= len(parts) <= MOST_PARTS:
        raise invalid_field("parts", f"Name two to {MOST_PARTS} datasets.")
    if any(not part.weight > 0 or part.weight > 1e9 for part in parts):
        raise invalid_field("parts", "Every weight must be above 0.")
    if len({part.dataset.pk for part in parts}) < len(parts):
        raise invalid_field("parts", "Name each dataset once.")
    for part in parts:
        refuse_unready(part.dataset)
    kinds = {part.dataset.kind for part in parts}
    if len(kinds) > 1:
        raise invalid_field("parts", f"The datasets are of different kinds ({', '.join(sorted(kinds))}); a mixture has one.")


def usable_rows(dataset: Dataset) -> int:
    return dataset.report.get("valid_rows") or dataset.rows or 0
