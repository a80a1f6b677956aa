"""A large dataset is in use as soon as it is read; the doctor comes behind, and what it finds is there when it is done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.examine_dataset import examine
from datasets_app.services.reconcile_datasets import reconcile_datasets
from datasets_app.services.set_gates import set_gates
from datasets_app.services.validate_dataset import ingest, validate_dataset
from finetune.core.errors import Conflict
from tests.datasets_app.conftest import jsonl, make_read

ROWS: list[Any] = [{"prompt": f"What is {n}?", "completion": f"It is {n}{' <|im_end|>' if n % 2 else ''}"} for n in range(150)]
ROWS[10] = "{bad"


@pytest.fixture
def large(alice: User, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Every file counts as a large one."""
    monkeypatch.setattr("datasets_app.services.validate_dataset.AT_ONCE", 0)
    return make_read(alice, jsonl(*ROWS))


def test_it_can_be_used_before_the_doctor_is_done(large: Dataset, api: APIClient) -> None:
    assert (large.status, large.examined, large.report["counts"]) == ("ready", False, {"invalid_json": 1})
    assert api.get(f"/api/datasets/{large.pk}").data["examined"] is False
    assert api.get(f"/api/datasets/{large.pk}/preview").data["total"] == 149
    assert api.post(f"/api/datasets/{large.pk}/fix", {"rules": ["special_tokens"]}).status_code == 409
    with pytest.raises(Conflict):
        set_gates(owner=large.owner, gates={"special_tokens": 0}, dataset=large)
    examine(large.pk)
    large.refresh_from_db()
    assert (large.status, large.examined, large.progress) == ("ready", True, None)
    assert large.report["counts"] == {"invalid_json": 1, "special_tokens": 75}
    assert large.summary["roles"] == {"user": 149, "assistant": 149}
    assert large.summary["filled"] == {"prompt": 149, "completion": 149}
    first = next(problem for problem in large.report["problems"] if problem["rule"] == "special_tokens" and problem["line"] > 11)
    assert (first["line"], first["row"]) == (12, 12)
    assert examine(large.pk) is None  # a second delivery


def test_all_rows_with_a_problem_can_be_paged_through(large: Dataset, api: APIClient) -> None:
    examine(large.pk)
    asked = {"rule": "special_tokens", "offset": 70, "limit": 10}
    answer = api.get(f"/api/datasets/{large.pk}/preview", asked).data
    assert (answer["total"], [row["line"] for row in answer["rows"]]) == (75, [142, 144, 146, 148, 150])
    api.post(f"/api/datasets/{large.pk}/split", {"train": 100, "validation": 49})
    parts = [
        api.get(f"/api/datasets/{large.pk}/preview", asked | {"split": split, "offset": 0, "limit": 100}).data
        for split in ("train", "validation")
    ]
    assert sorted(row["line"] for part in parts for row in part["rows"]) == [2 * n for n in range(1, 76)]
    assert api.get(f"/api/datasets/{large.pk}/preview", {"rule": "../rows"}).data["total"] == 0


def test_where_gates_or_a_tokenizer_decide_nobody_uses_it_before(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.services.validate_dataset.AT_ONCE", 0)
    set_gates(owner=alice, gates={"special_tokens": 10})
    dataset = make_read(alice, jsonl(*ROWS))
    assert (dataset.status, dataset.examined, dataset.is_held_by_a_gate) == ("invalid", True, True)


def test_a_doctor_that_lost_its_claim_changes_nothing(large: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_again(*args: Any) -> dict:
        validate_dataset(dataset=Dataset.objects.get(pk=large.pk), mapping={})
        return {}

    monkeypatch.setattr("datasets_app.services.examine_dataset.count_tokens", read_again)
    examine(large.pk)
    large.refresh_from_db()
    assert (large.status, large.report["counts"]) == ("uploaded", {"invalid_json": 1})
    ingest(large.pk)
    assert sorted(path.name for path in large.directory.iterdir()) == ["original.jsonl", "problems", "rows.parquet"]


def test_what_breaks_is_said_and_the_rows_stay_usable(large: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.doctor.examination.Doctor.row", lambda *args: 1 / 0)
    examine(large.pk)
    large.refresh_from_db()
    assert (large.status, large.examined, large.report["counts"]["not_examined"]) == ("ready", True, 1)


def test_a_lost_doctor_is_called_again_three_times(large: Dataset, django_capture_on_commit_callbacks: Any) -> None:
    for _ in range(3):
        Dataset.objects.filter(pk=large.pk).update(updated_at=timezone.now() - timedelta(minutes=5))
        with django_capture_on_commit_callbacks() as queued:
            assert reconcile_datasets() == 1
        assert len(queued) == 1
    Dataset.objects.filter(pk=large.pk).update(updated_at=timezone.now() - timedelta(minutes=5))
    reconcile_datasets()
    large.refresh_from_db()
    assert (large.examined, large.report["counts"]["not_examined"]) == (True, 1)


def test_the_page_says_that_the_doctor_is_still_looking(large: Dataset, alice: User, client: Client) -> None:
    client.force_login(alice)
    for page in ("", "/problems", "/statistics"):
        assert "doctor is still looking" in client.get(f"/datasets/{large.pk}{page}").content.decode()
    examine(large.pk)
    assert "doctor is still looking" not in client.get(f"/datasets/{large.pk}/problems").content.decode()
