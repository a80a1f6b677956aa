"""Readings that were lost begin again, a bounded number of times; those at work are left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.reconcile_datasets import MAX_RESTARTS, SILENT, reconcile_datasets
from datasets_app.services.validate_dataset import ingest
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_dataset


def silent(dataset: Dataset, **values: Any) -> Dataset:
    """As if nobody had touched it for long."""
    past = timezone.now() - SILENT - timedelta(seconds=1)
    Dataset.objects.filter(pk=dataset.pk).update(updated_at=past, **values)
    dataset.refresh_from_db()
    return dataset


def test_a_reading_whose_worker_died_begins_again(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    dataset = silent(make_read(alice, jsonl(*pairs(4))), status="validating", attempt=1, rows=None)
    with django_capture_on_commit_callbacks() as queued:
        assert reconcile_datasets() == 1
    dataset.refresh_from_db()
    assert (dataset.status, dataset.restarts, len(queued)) == ("uploaded", 1, 1)
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.rows, dataset.attempt) == ("ready", 4, 2)


def test_a_lost_message_is_sent_again_without_counting(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    dataset = silent(make_dataset(alice, status="uploaded"))
    with django_capture_on_commit_callbacks() as queued:
        reconcile_datasets()
    dataset.refresh_from_db()
    assert (dataset.status, dataset.restarts, len(queued)) == ("uploaded", 0, 1)


def test_after_some_losses_it_gives_up_in_words(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    dataset = silent(make_dataset(alice, status="validating"), restarts=MAX_RESTARTS)
    with django_capture_on_commit_callbacks() as queued:
        reconcile_datasets()
    dataset.refresh_from_db()
    assert (dataset.status, queued) == ("invalid", [])
    assert "cut off several times" in dataset.report["problems"][0]["message"]


def test_who_is_at_work_or_done_is_left_alone(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    make_dataset(alice, status="validating")
    make_dataset(alice, status="uploaded")
    silent(make_dataset(alice))
    silent(make_dataset(alice, status="invalid"))
    with django_capture_on_commit_callbacks() as queued:
        assert reconcile_datasets() == 0
    assert queued == []
    assert sorted(Dataset.objects.values_list("status", flat=True)) == ["invalid", "ready", "uploaded", "validating"]
