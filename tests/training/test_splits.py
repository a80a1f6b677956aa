"""A job learns from the split it names and is evaluated on the one it names, wherever the rows are counted or linked."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.split_dataset import split_dataset
from tests.factories import make_base_model, make_dataset, make_job
from training import estimates, run_files
from training.engine.rundir import RunDir
from training.engine.spec import Config
from training.models import TrainingJob


@pytest.fixture
def divided(alice: User) -> Dataset:
    """50 rows: 30 to learn from, 15 to evaluate on, 5 to test."""
    return split_dataset(dataset=make_dataset(alice, rows=50), train=30, validation=15, test=5)


def lines(path: Any) -> list[int]:
    return pq.read_table(path, columns=["line"]).column("line").to_pylist()


def test_the_run_directory_holds_both_splits(alice: User, divided: Dataset) -> None:
    job = make_job(alice, dataset=divided, train_split="train", eval_split="validation", attempt=1)
    run = RunDir(run_files.prepare_run(job))
    data = run.read_spec().data
    assert (data.train, data.eval) == ("data/train.parquet", "data/eval.parquet")
    learned, evaluated = lines(run.resolve(data.train)), lines(run.resolve(data.eval))
    assert (len(learned), len(evaluated)) == (30, 15)
    assert not set(learned) & set(evaluated)
    assert run.resolve(data.train).stat().st_ino == divided.split_file("train").stat().st_ino


def test_another_split_may_be_learned_from(alice: User, divided: Dataset) -> None:
    job = make_job(alice, dataset=divided, train_split="test", attempt=1)
    run = RunDir(run_files.prepare_run(job))
    assert (len(lines(run.resolve(run.read_spec().data.train))), run.read_spec().data.eval) == (5, None)


def test_the_next_attempt_reads_the_same_rows_whatever_became_of_the_split(alice: User, divided: Dataset) -> None:
    job = make_job(alice, dataset=divided, train_split="train", eval_split="validation", attempt=1, status="failed")
    before = lines(run_files.prepare_run(job) / run_files.TRAIN_FILE)
    split_dataset(dataset=divided, train=20, validation=30, seed=9)
    job.refresh_from_db()
    job.attempt = 2
    assert lines(run_files.prepare_run(job) / run_files.TRAIN_FILE) == before


def test_the_command_names_the_splits(alice: User, divided: Dataset, api: APIClient) -> None:
    job = make_job(alice, dataset=divided, train_split="train", eval_split="validation")
    data = api.get(f"/api/training/{job.pk}/command").data["spec"]["data"]
    assert (data["train"], data["eval"]) == (str(divided.split_file("train")), str(divided.split_file("validation")))


def test_the_estimate_counts_the_rows_of_the_split(alice: User, divided: Dataset) -> None:
    model = make_base_model(alice)
    wanted = estimates.Wanted(model, divided, "lora", Config(), "train", "validation")
    assert estimates.split_rows(wanted) == (30, 15)
    assert estimates.learned_rows(wanted) == divided.split_file("train")
    table = pq.read_table(divided.split_file("test"))
    long = [json.dumps([{"role": "user", "content": "a " * 4000}, {"role": "assistant", "content": "b"}])] * table.num_rows
    pq.write_table(table.set_column(table.schema.get_field_index("messages"), "messages", [long]), divided.split_file("test"))
    lengths = estimates.sample_rows(
        estimates.learned_rows(estimates.Wanted(model, divided, "lora", Config(), "test")), "sft"
    ).lengths(1024)
    assert min(lengths) > 1000


def test_the_form_offers_the_splits_and_refuses_one_the_dataset_has_not(alice: User, divided: Dataset, page: Client) -> None:
    model, whole = make_base_model(alice), make_dataset(alice, name="whole")
    shown = page.get(f"/training/new?dataset={divided.pk}").content.decode()
    assert 'name="eval_split"' in shown
    body = {"model_id": model.pk, "method": "lora", "train_split": "train", "eval_split": "validation"}
    assert page.post("/training/new", body | {"dataset_id": divided.pk}).status_code == 302
    job = TrainingJob.objects.get()
    assert (job.train_split, job.eval_split) == ("train", "validation")
    refused = page.post("/training/new", body | {"dataset_id": whole.pk})
    assert refused.status_code == 422 or refused.status_code == 400
    assert "no split" in refused.content.decode()
    assert TrainingJob.objects.count() == 1


def test_the_form_does_not_ask_where_nothing_was_divided(alice: User, page: Client) -> None:
    make_dataset(alice)
    assert 'name="eval_split"' not in page.get("/training/new").content.decode()


def test_half_a_copy_of_the_rows_is_never_left(alice: User, monkeypatch) -> None:
    """Where links are impossible the rows are copied, and a later attempt learns from an earlier one's copy."""
    job = make_job(alice, attempt=1)

    def half(source: str, target: Path) -> None:
        target.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    def elsewhere(source: str, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(run_files.os, "link", elsewhere)
    monkeypatch.setattr(run_files.shutil, "copy2", half)
    with pytest.raises(OSError, match="No space"):
        run_files.prepare_run(job)
    assert list(RunDir(job.run_dir).data.iterdir()) == []
