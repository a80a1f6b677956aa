"""A dataset on machines that share a bucket: uploaded on one, read on another, shown on a third."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import delete_dataset
from datasets_app.services.download_dataset import download_dataset
from datasets_app.services.fix_dataset import fix_dataset
from datasets_app.services.preview_dataset import preview_dataset
from datasets_app.services.split_dataset import split_dataset
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.services.validate_dataset import ingest, validate_dataset
from finetune.core import bucket
from finetune.core.errors import Unavailable
from tests.datasets_app.conftest import jsonl, pairs, upload_file

On = Callable[[str], Path]
TWICE = [*pairs(20), pairs(1)[0]]  # one row twice: a problem to look at and to fix


def upload(owner: User) -> Dataset:
    return upload_dataset(owner=owner, file=upload_file(jsonl(*TWICE)))


def read_on(machine: Path, dataset: Dataset) -> Dataset:
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert dataset.status == "ready", dataset.report
    return dataset


def test_it_is_uploaded_here_read_there_and_shown_elsewhere(
    alice: User, on: On, objects, django_capture_on_commit_callbacks
) -> None:
    on("web")
    dataset = upload(alice)
    dataset = read_on(on("worker"), dataset)

    on("another web")
    assert preview_dataset(dataset=dataset, offset=3, limit=2).rows[0]["line"] == 4
    assert preview_dataset(dataset=dataset, rule="duplicate", offset=0, limit=5).total == 1
    assert b"".join(download_dataset(dataset=dataset, format="original").chunks) == jsonl(*TWICE)
    split_dataset(dataset=dataset, train=0.8, validation=0.2)

    on("worker")
    dataset.refresh_from_db()
    assert preview_dataset(dataset=dataset, split="validation", offset=0, limit=50).total == dataset.splits["validation"]
    before = dataset.split_plan["folder"]
    with django_capture_on_commit_callbacks(execute=True):
        split_dataset(dataset=dataset, train=0.5, validation=0.5)
    assert not any(before in name for name in objects())

    fixed = fix_dataset(dataset=dataset, rules=["duplicate"])
    fixed = read_on(on("a third worker"), fixed)
    assert fixed.report["valid_rows"] == 20

    with django_capture_on_commit_callbacks(execute=True):
        for each in (fixed, dataset):
            delete_dataset(dataset=each)
    assert objects() == []


def test_read_anew_with_another_mapping_the_old_rows_are_shown_nowhere(alice: User, on: On) -> None:
    on("a")
    dataset = read_on(on("a"), upload(alice))
    on("b")
    assert preview_dataset(dataset=dataset, offset=0, limit=1).rows[0]["messages"][0]["content"] == "What is 0 + 1?"
    on("a")
    validate_dataset(dataset=dataset, mapping={"prompt": "completion", "completion": "prompt"})
    dataset = read_on(on("a"), dataset)
    on("b")
    assert preview_dataset(dataset=dataset, offset=0, limit=1).rows[0]["messages"][0]["content"] == "It is 1."


def test_nothing_is_kept_of_an_upload_that_the_store_does_not_take(alice: User, on: On, monkeypatch) -> None:
    def refuse(name: str, content: object) -> None:
        raise Unavailable("The shared store does not answer.", code=bucket.SILENT)

    monkeypatch.setattr(bucket, "put", refuse)
    data = on("web")
    with pytest.raises(Unavailable):
        upload(alice)
    assert not Dataset.objects.exists() and not [path for path in (data / "datasets").rglob("*") if path.is_file()]
