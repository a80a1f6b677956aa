"""Mixtures: shares, seeds, and one kind only."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.derive import choose
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.datasets_app.test_fix_dataset import rows_of


def hellos(count: int) -> list[dict]:
    return [{"prompt": f"Hello {number}", "completion": f"Good day {number}."} for number in range(count)]


def mix(api: APIClient, *parts: tuple[Dataset, float], **more: Any) -> Dataset:
    listed = [{"dataset_id": dataset.pk, "weight": weight} for dataset, weight in parts]
    answer = api.post("/api/datasets/mixture", {"name": "both", "parts": listed, **more})
    assert answer.status_code == 201, answer.data
    ingest(answer.data["id"])
    return Dataset.objects.get(pk=answer.data["id"])


def shares(dataset: Dataset) -> list[int]:
    hello = ["Hello" in row["messages"][0]["content"] for row in rows_of(dataset)]
    return [hello.count(False), hello.count(True)]


def test_the_parts_have_their_shares_and_are_interleaved(alice: User, api: APIClient) -> None:
    sums, greetings = make_read(alice, jsonl(*pairs(40))), make_read(alice, jsonl(*hellos(40)))
    made = mix(api, (sums, 3), (greetings, 1))
    assert (made.status, made.origin, shares(made)) == ("ready", "mixture", [40, 13])
    hello = ["Hello" in row["messages"][0]["content"] for row in rows_of(made)]
    assert 1 <= sum(hello[:8]) <= 3
    assert made.family not in {sums.family, greetings.family}
    assert [part["content_hash"] for part in made.origin_detail["parts"]] == [sums.content_hash, greetings.content_hash]


def test_the_same_seed_takes_the_same_rows(alice: User, api: APIClient) -> None:
    sums, greetings = make_read(alice, jsonl(*pairs(40))), make_read(alice, jsonl(*hellos(40)))
    first, second, other = (mix(api, (sums, 1), (greetings, 1), rows=20, seed=seed) for seed in (1, 1, 2))
    assert first.content_hash == second.content_hash != other.content_hash


def test_rows_are_repeated_where_more_are_wanted_than_there_are(alice: User, api: APIClient) -> None:
    sums, greetings = make_read(alice, jsonl(*pairs(4))), make_read(alice, jsonl(*hellos(40)))
    assert shares(mix(api, (sums, 1), (greetings, 1), rows=20)) == [10, 10]
    assert sorted(choose(4, 10, "s").values()) == [2, 2, 3, 3]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"parts": []}, "parts"),
        ({"name": " "}, "name"),
        ({"rows": 1}, "rows"),
        ({"weight": 0}, "parts"),
        ({"id": 10**9}, "parts"),
        ({"rows": 0}, "rows"),
    ],
)
def test_it_refuses_what_can_not_be_mixed(alice: User, api: APIClient, change: dict, field: str) -> None:
    one, two = make_read(alice, jsonl(*pairs(4))), make_read(alice, jsonl(*hellos(4)))
    parts = [{"dataset_id": one.pk, "weight": change.pop("weight", 1)}, {"dataset_id": change.pop("id", two.pk), "weight": 1}]
    answer = api.post("/api/datasets/mixture", {"name": "both", "parts": parts, **change})
    assert (answer.status_code, list(answer.data["fields"])) == (400, [field]), answer.data
    assert Dataset.objects.count() == 2


def test_kinds_are_not_mixed_nor_unready_ones_nor_somebody_elses(alice: User, charlie: User, api: APIClient) -> None:
    sums, text = make_read(alice, jsonl(*pairs(4))), make_read(alice, jsonl({"text": "a"}, {"text": "b"}))
    hers = make_read(charlie, jsonl(*hellos(4)))
    for other, code in ((text, 400), (hers, 400)):
        body = {"name": "x", "parts": [{"dataset_id": sums.pk}, {"dataset_id": other.pk}]}
        assert api.post("/api/datasets/mixture", body).status_code == code
    Dataset.objects.filter(pk=text.pk).update(status="validating")
    assert (
        api.post("/api/datasets/mixture", {"name": "x", "parts": [{"dataset_id": sums.pk}, {"dataset_id": text.pk}]}).status_code
        == 409
    )
    assert Dataset.objects.count() == 3
