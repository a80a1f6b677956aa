"""Packed metric points are the same points: for curves, for sockets, for a resumed attempt."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_job
from training.event_feed import events_after, events_before
from training.lease import Lease
from training.metric_chunks import SKETCH_EVERY, Event, pack, read_sketch, sketch, unpack, unpack_thinned
from training.models import JobEvent, MetricChunk, TrainingJob
from training.services import pack_metrics as packing
from training.services.export_metrics import export_metrics
from training.services.pack_metrics import pack_metrics
from training.services.read_metrics import all_points, read_metrics
from training.services.record_events import record_events

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def payload(step: int, loss: float | None = None, **values: Any) -> dict[str, Any]:
    noise = random.Random(step)
    values = {"loss": noise.random() if loss is None else loss, "learning_rate": 1e-4 / step, "num_tokens": step * 512, **values}
    return {"step": step, "epoch": step / 7, "split": "train", "values": values, "elapsed_seconds": step / 10}


def events(count: int) -> list[Event]:
    return [Event(3 * step, NOON + timedelta(microseconds=step * 1_234_567), payload(step)) for step in range(1, count + 1)]


def test_packing_loses_nothing() -> None:
    strange = [
        payload(1) | {"elapsed_seconds": None},
        payload(2, grad_norm=0.1 + 0.2, **{"rewards/chosen": -math.pi}),
        payload(3) | {"values": {"loss": None}},
        payload(4) | {"values": {}},
        payload(5) | {"rank": 1},
        payload(6) | {"values": {"loss": "much", "ok": True}},
        payload(7, num_tokens=2**60),
        payload(8, num_tokens=0.5),
        {"step": 9},
        payload(10) | {"split": "eval", "values": {"eval_loss": 5e-324}},
    ]
    told = [Event(number, NOON + timedelta(microseconds=number), one) for number, one in enumerate(strange, start=5)]
    assert unpack(pack(told)) == told


def test_whole_numbers_stay_whole() -> None:
    found = unpack(pack(events(3)))[0].payload
    assert (type(found["step"]), type(found["values"]["num_tokens"]), type(found["epoch"])) == (int, int, float)


def test_a_point_takes_less_than_a_hundred_bytes() -> None:
    noise = random.Random(1)
    values = {
        key: noise.random() for key in ("grad_norm", "entropy", "mean_token_accuracy", "tokens_per_second", "samples_per_second")
    }
    many = [Event(step, NOON, payload(step, **{key: noise.random() for key in values})) for step in range(1, 4097)]
    packed = pack(many)
    assert (len(packed) + len(sketch(packed))) / len(many) < 100


def test_thinning_and_the_sketch_keep_extremes_ends_and_evaluations() -> None:
    many = events(2000)
    many[777] = Event(many[777].seq, many[777].time, payload(778, loss=99.0))
    many[1234] = Event(many[1234].seq, many[1234].time, payload(1235, loss=-5.0))
    many[500] = Event(many[500].seq, many[500].time, payload(501) | {"split": "eval", "values": {"eval_loss": 1.0}})
    packed = pack(many)
    for few in (unpack_thinned(packed, 400), read_sketch(sketch(packed))):
        assert len(few) < 2000 / SKETCH_EVERY * 2 + 10
        kept = {event.seq for event in few}
        assert {many[index].seq for index in (0, 500, 777, 1234, 1999)} <= kept
        assert all(event in many for event in few)


def test_of_wanted_values_only_these_are_decoded_and_the_points_are_the_same() -> None:
    many = events(1500)
    for index, event in enumerate(many):
        many[index] = replace(event, payload=payload(index + 1, **{"a.b": -index, "a": index % 17}))
    many[700] = replace(many[700], payload={"step": 701, "rank": 1})
    packed = pack(many)
    for keys in (("a",), ("a.b", "loss"), ("no such",)):
        found = unpack(packed, keys)
        assert [event.seq for event in found] == [event.seq for event in many]
        assert all(event == many[700] or set(event.payload["values"]) == set(keys) - {"no such"} for event in found)
    few = unpack_thinned(packed, 400, ("a", "a.b"))
    assert len(few) < 20
    assert {many[700].seq, many[0].seq, many[-1].seq} <= {event.seq for event in few}
    assert {event.payload["values"]["a"] for event in few if event != many[700]} >= {0, 16}


@pytest.fixture
def job(alice: User, monkeypatch: pytest.MonkeyPatch) -> TrainingJob:
    """1,300 points with a log line now and then; chunks are 200 points."""
    monkeypatch.setattr(packing, "CHUNK", 200)
    monkeypatch.setattr(packing, "KEEP", 50)
    monkeypatch.setattr(packing, "FEWEST", 20)
    job = make_job(alice, status="running", attempt=1)
    rows: list[JobEvent] = []
    for step in range(1, 1301):
        when = NOON + timedelta(seconds=step)
        rows.append(JobEvent(job=job, seq=len(rows) + 1, attempt=1, kind="metric", time=when, payload=payload(step)))
        if step % 100 == 0:
            log = {"level": "info", "text": f"step {step}"}
            rows.append(JobEvent(job=job, seq=len(rows) + 1, attempt=1, kind="log", time=when, payload=log))
    JobEvent.objects.bulk_create(rows)
    TrainingJob.objects.filter(pk=job.pk).update(last_seq=len(rows), lease_owner="w")
    job.refresh_from_db()
    return job


def everything(job: TrainingJob) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        feed = events_after(job.pk, found[-1]["seq"] if found else 0, limit=77)
        found += feed.events
        if feed.whole:
            return found


def backwards(job: TrainingJob) -> list[JobEvent]:
    found: list[JobEvent] = []
    while rows := events_before(job.pk, found[-1].seq if found else None, limit=77, kinds=("metric", "log")):
        found += rows
    return found


def test_every_reader_finds_the_same_as_before(job: TrainingJob, api: APIClient) -> None:
    def read() -> Any:
        return (
            everything(job),
            list(all_points(job)),
            list(all_points(job, keys=["loss"], after=333, up_to=1000)),
            b"".join(export_metrics(job=job)),
            read_metrics(job=job),
            [(row.seq, row.kind, row.time, row.payload) for row in backwards(job)],
            api.get(f"/api/training/{job.pk}/events?after=150").json(),
            api.get(f"/api/training/{job.pk}/events?kind=log").json(),
            api.get(f"/api/training/{job.pk}/events?kind=metric,log&after=1200").json(),
        )

    before = read()
    assert pack_metrics(job=job) == 1200
    assert MetricChunk.objects.count() == 6
    assert JobEvent.objects.filter(job=job, kind="metric").count() == 100
    assert read() == before
    assert pack_metrics(job=job, to_the_end=True) == 100
    assert not JobEvent.objects.filter(job=job, kind="metric").exists()
    assert read() == before
    assert pack_metrics(job=job, to_the_end=True) == 0


def test_a_thinned_curve_keeps_its_spike(job: TrainingJob) -> None:
    JobEvent.objects.filter(job=job, payload__step=431).update(payload=payload(431, loss=50.0, learning_rate=7.0))
    pack_metrics(job=job, to_the_end=True)
    for keys in ((), ("learning_rate",)):
        points = read_metrics(job=job, max_points=20, keys=keys).points
        assert len(points) <= 20
        assert 431 in {point["step"] for point in points}
        assert (points[0]["step"], points[-1]["step"]) == (1, 1300)


def test_a_crowded_reader_misses_nothing_while_it_is_packed(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are read, then somebody packs them, then the chunks are read."""
    before = everything(job)
    real = MetricChunk.objects.filter

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(MetricChunk.objects, "filter", real)
        pack_metrics(job=job, to_the_end=True)
        return real(*args, **kwargs)

    monkeypatch.setattr(MetricChunk.objects, "filter", meanwhile)
    assert events_after(job.pk, 0, limit=5000).events == before


def test_two_packers_pack_once(job: TrainingJob) -> None:
    rows = packing._oldest(job.pk)
    assert packing._pack(job.pk, *rows)
    assert not packing._pack(job.pk, *rows)
    assert len(everything(job)) == job.last_seq


def test_a_resumed_attempt_does_not_repeat_what_is_packed(job: TrainingJob) -> None:
    pack_metrics(job=job, to_the_end=True)
    TrainingJob.objects.filter(pk=job.pk).update(attempt=2)
    again = [{"kind": "metric", "time": 1.0, **payload(step)} for step in range(1290, 1311)]
    record_events(lease=Lease(job.pk, 2, "w"), events=again, offset=1)
    assert [point["step"] for point in all_points(job)] == list(range(1, 1311))


def test_a_running_jobs_newest_points_stay_rows(job: TrainingJob) -> None:
    pack_metrics(job=job)
    assert JobEvent.objects.filter(job=job, kind="metric").count() >= packing.KEEP


def test_deleting_the_job_deletes_its_chunks(job: TrainingJob) -> None:
    pack_metrics(job=job)
    job.delete()
    assert not MetricChunk.objects.exists()
