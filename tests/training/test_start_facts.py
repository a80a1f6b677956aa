"""What is kept when a job is queued, and how its end is compared with it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_base_model, make_dataset, make_event, make_job
from training import start_facts
from training.ended import estimate_against_actual, run_seconds
from training.fingerprints import fingerprint
from training.models import TrainingJob

ESTIMATE = {
    "tokens": 1000, "steps": 10, "duration_seconds": {"low": 10.0, "high": 30.0}, "memory_bytes": {"low": 10**9, "high": 2 * 10**9},
}  # fmt: skip


def test_the_estimate_is_kept_at_the_start(api: APIClient, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_facts, "_estimate", lambda job: {**ESTIMATE, "for": job.name})
    body = {"name": "a", "model_id": make_base_model(alice).pk, "dataset_id": make_dataset(alice).pk, "method": "lora"}
    at_once = api.post("/api/training", {**body, "start": True}).json()
    assert at_once["estimate"]["for"] == "a"
    draft = api.post("/api/training", {**body, "name": "b"}).json()
    assert draft["estimate"] is None
    assert api.post(f"/api/training/{draft['id']}/start").json()["estimate"]["for"] == "b"
    assert TrainingJob.objects.get(name="b").inputs["rows"]


def test_a_model_that_cannot_be_estimated_starts_all_the_same(api: APIClient, alice: User) -> None:
    job = make_job(alice, train_split="train")  # its model has no files
    answer = api.post(f"/api/training/{job.pk}/start").json()
    assert (answer["status"], answer["estimate"]) == ("queued", None)


def test_the_end_is_compared_with_what_was_foreseen(alice: User) -> None:
    job = make_job(
        alice, status="succeeded", estimate=ESTIMATE, metrics={"num_tokens": 1100.0}, progress={"step": 10}, memory={"peak_bytes": 3 * 10**9}
    )  # fmt: skip
    begin = timezone.now()
    for seq, (status, after) in enumerate([("queued", 0), ("running", 5), ("queued", 15), ("running", 90), ("succeeded", 95)], 1):
        event = make_event(job, seq, "status", status=status)
        type(event).objects.filter(pk=event.pk).update(time=begin + timedelta(seconds=after))
    assert run_seconds(job) == 15
    lines = {line.label: (line.actual, line.judgement) for line in estimate_against_actual(job)}
    assert lines == {
        "Tokens": ("1,100", "10% more"),
        "Steps": ("10", "as foreseen"),
        "Time": ("15 s", "within the range"),
        "Peak memory": ("3.0 GB", "above the range"),
    }
    job.status = "running"
    assert estimate_against_actual(job) == []


def test_a_fingerprint_notices_any_change(tmp_path: Path) -> None:
    file, copy = tmp_path / "a", tmp_path / "b" / "a"
    file.write_bytes(bytes(1_000_000))
    copy.parent.mkdir()
    shutil.copy(file, copy)
    assert fingerprint([file]) == fingerprint([copy])
    assert fingerprint([]) == fingerprint([tmp_path / "none"]) == ""
    copy.write_bytes(bytes(1_000_001))
    assert fingerprint([file]) != fingerprint([copy])
    copy.write_bytes(bytes(500_000) + b"\1" * 4096 * 5 + bytes(500_000 - 4096 * 5))
    assert fingerprint([file]) != fingerprint([copy])
