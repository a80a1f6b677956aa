"""Curves: complete, from a cursor on, thinned without losing a spike."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_job
from training.models import JobEvent, TrainingJob
from training.services.read_metrics import read_metrics, thin


@pytest.fixture
def job(alice: User) -> TrainingJob:
    """300 train points with one spike, an evaluation after every 30, a log line after every 50."""
    job = make_job(alice, status="running", attempt=1)
    rows = []

    def add(kind: str, payload: dict) -> None:
        rows.append(JobEvent(job=job, seq=len(rows) + 1, attempt=1, kind=kind, time=timezone.now(), payload=payload))

    for step in range(1, 301):
        loss = 9.0 if step == 137 else 0.01 if step == 201 else 1 / step + 0.1
        values = {"loss": loss, "grad_norm": 1.0, "learning_rate": 1e-4}
        add("metric", {"step": step, "epoch": step / 100, "split": "train", "values": values, "elapsed_seconds": step / 10})
        if step % 30 == 0:
            add(
                "metric",
                {"step": step, "epoch": step / 100, "split": "eval", "values": {"eval_loss": 2 / step}, "elapsed_seconds": None},
            )
        if step % 50 == 0:
            add("log", {"level": "info", "text": "still here"})
    JobEvent.objects.bulk_create(rows)
    TrainingJob.objects.filter(pk=job.pk).update(last_seq=len(rows))
    return job


def test_every_point_in_order_and_the_cursor(api: APIClient, job: TrainingJob) -> None:
    answer = api.get(f"/api/training/{job.pk}/metrics").json()
    steps = [point["step"] for point in answer["points"] if point["split"] == "train"]
    assert steps == list(range(1, 301))
    assert answer["last_seq"] == 316
    assert [point["seq"] for point in answer["points"]] == sorted(point["seq"] for point in answer["points"])
    assert set(answer["points"][0]) == {"seq", "step", "epoch", "time", "split", "elapsed_seconds", "values"}


def test_only_what_came_after(api: APIClient, job: TrainingJob) -> None:
    answer = api.get(f"/api/training/{job.pk}/metrics?after=310").json()
    assert {point["seq"] for point in answer["points"]} == {311, 312, 313, 314, 315}
    assert api.get(f"/api/training/{job.pk}/metrics?after=316").json() == {"points": [], "last_seq": 316}


def test_only_the_wanted_values(api: APIClient, job: TrainingJob) -> None:
    points = api.get(f"/api/training/{job.pk}/metrics?keys=grad_norm").json()["points"]
    assert len(points) == 300
    assert all(set(point["values"]) == {"grad_norm"} for point in points)


def test_thinning_keeps_the_ends_the_extremes_and_every_evaluation(job: TrainingJob) -> None:
    points = read_metrics(job=job, max_points=60).points
    assert len(points) <= 60
    train = [point for point in points if point["split"] == "train"]
    assert (train[0]["step"], train[-1]["step"]) == (1, 300)
    losses = [point["values"]["loss"] for point in train]
    assert (max(losses), min(losses)) == (9.0, 0.01)
    assert sum(point["split"] == "eval" for point in points) == 10


@pytest.mark.parametrize("limit", [2, 3, 10, 99])
def test_thinning_never_exceeds_the_limit(limit: int) -> None:
    points = [{"seq": number, "values": {"loss": number % 7}} for number in range(1000)]
    kept = thin(points, limit, "loss")
    assert 2 <= len(kept) <= limit
    assert kept == sorted(kept, key=lambda point: point["seq"])
    assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_points_without_the_value_are_thinned_too() -> None:
    points = [{"seq": number, "values": {"loss": None}} for number in range(100)]
    assert len(thin(points, 20, "loss")) <= 20


@pytest.mark.parametrize("query", ["after=-1", "after=x", "max_points=1", "max_points=no"])
def test_nonsense_is_named(api: APIClient, job: TrainingJob, query: str) -> None:
    answer = api.get(f"/api/training/{job.pk}/metrics?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["fields"]


def test_events_of_a_kind_after_a_cursor(api: APIClient, job: TrainingJob) -> None:
    answer = api.get(f"/api/training/{job.pk}/events?kind=log,warning").json()
    assert len(answer["events"]) == 6
    assert answer["events"][0]["text"] == "still here"
    later = api.get(f"/api/training/{job.pk}/events?kind=log&after={answer['events'][3]['seq']}").json()
    assert len(later["events"]) == 2


@pytest.mark.parametrize("part", ["metrics", "events", "status", "logs", "checkpoints", "files", "command"])
def test_a_stranger_sees_nothing(charlie_api: APIClient, anonymous_api: APIClient, job: TrainingJob, part: str) -> None:
    assert charlie_api.get(f"/api/training/{job.pk}/{part}").status_code == 404
    assert anonymous_api.get(f"/api/training/{job.pk}/{part}").status_code == 401
