"""Whose turn it is: fairness, priority, limits; and that positions are what workers do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User, UserLimits
from finetune.core.errors import Conflict, Forbidden
from tests.factories import make_base_model, make_dataset, make_job
from tests.training.conftest import make_queued
from training.models import TrainingJob
from training.queue import Share, Waiting, in_order, positions
from training.services.claim_job import claim_job
from training.services.finish_job import Outcome, finish_job
from training.services.move_up_job import move_up_job
from training.services.set_priority import set_priority
from training.services.start_job import start_job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def waiting(pk: int, owner: int = 1, *, minute: int = 0, **values) -> Waiting:
    defaults = {"interrupted": False, "moved_up_at": None, "priority": 0}
    return Waiting(pk, owner, queued_at=NOON + timedelta(minutes=minute or pk), **{**defaults, **values})


def order(jobs: list[Waiting], **shares: Share) -> list[int]:
    return [place.job.pk for place in in_order(jobs, {int(name[1:]): share for name, share in shares.items()})]


def test_one_person_is_served_in_the_order_of_asking() -> None:
    assert order([waiting(3), waiting(1), waiting(2)]) == [1, 2, 3]


def test_people_take_turns() -> None:
    many = [waiting(pk) for pk in range(1, 6)]
    assert order([*many, waiting(10, 2), waiting(11, 2), waiting(12, 3)]) == [1, 10, 12, 2, 11, 3, 4, 5]


def test_whoever_waited_longest_since_their_last_start_is_next() -> None:
    jobs = [waiting(1), waiting(2), waiting(10, 2)]
    assert order(jobs, u1=Share(last_start=NOON)) == [10, 1, 2]


def test_priority_comes_before_turns_and_the_moved_up_before_priority() -> None:
    jobs = [waiting(1, priority=-1), waiting(2), waiting(3, priority=1), waiting(4, 2), waiting(5, moved_up_at=NOON)]
    assert order(jobs) == [5, 3, 4, 2, 1]  # 4 is another's, whose turn comes after two of this one's
    jobs += [waiting(6, 2, moved_up_at=NOON + timedelta(minutes=1)), waiting(7, interrupted=True)]
    assert order(jobs)[:3] == [7, 6, 5]


def test_beyond_a_limit_a_job_is_held_behind_everybody() -> None:
    places = in_order([waiting(1), waiting(2, priority=1), waiting(10, 2)], {1: Share(running=1, limit=2)})
    assert [(place.job.pk, place.held) for place in places] == [(2, False), (10, False), (1, True)]


def names(jobs) -> list[str]:
    return [job.name for job in jobs]


def test_workers_take_in_the_order_that_positions_say(alice: User, charlie: User, scripted) -> None:
    shared = {"model": make_base_model(alice), "dataset": make_dataset(alice)}
    jobs = [
        make_queued(owner, name=name, **shared) for owner, name in ((alice, "a1"), (alice, "a2"), (alice, "a3"), (charlie, "c1"))
    ]
    jobs.append(make_queued(charlie, name="c2", priority=1, **shared))
    said = sorted(jobs, key=lambda job: job.queue_position)
    taken = []
    while found := claim_job(executor="scripted"):
        taken.append(found[0])
        finish_job(job=found[0], lease=found[1], outcome=Outcome.FAILED, error={"code": "x", "message": "x"})
    assert names(taken) == names(said) == ["c2", "a1", "c1", "a2", "a3"]


def test_every_surface_tells_the_same_position(alice: User, charlie: User, page: Client, api: APIClient, scripted) -> None:
    make_queued(charlie, name="before", executor="local")
    job = make_queued(alice, executor="local")
    assert positions("local")[job.pk] == 2
    assert api.get(f"/api/training/{job.pk}").data["queue_position"] == 2
    assert api.get("/api/training").data["results"][0]["queue_position"] == 2
    assert [line["position"] for line in api.get("/api/training/queue").data["waiting"]] == [1, 2]
    assert "number 2 in the queue" in page.get("/training/").content.decode()
    assert "Number 2 in the queue" in page.get("/").content.decode()


def test_a_limit_of_running_jobs_leaves_the_others_waiting(alice: User, charlie: User, scripted, settings) -> None:
    settings.TRAINING_SLOTS, settings.MAX_RUNNING_JOBS_PER_USER = 4, 1
    for name in ("a1", "a2"):
        make_queued(alice, name=name)
    make_queued(charlie, name="c1")
    taken = [claim_job(executor="scripted") for _ in range(3)]
    assert [found and found[0].name for found in taken] == ["a1", "c1", None]
    UserLimits.objects.create(user=alice, running_jobs=2)
    assert claim_job(executor="scripted")[0].name == "a2"


def test_no_more_jobs_wait_than_may(alice: User, settings) -> None:
    settings.MAX_QUEUED_JOBS_PER_USER = 1
    model, dataset = make_base_model(alice), make_dataset(alice)
    first, second = (make_job(alice, model=model, dataset=dataset, train_split="train") for _ in range(2))
    start_job(job=first)
    with pytest.raises(Conflict, match="1 of your jobs wait already") as refusal:
        start_job(job=second)
    assert refusal.value.code == "queue_limit"
    second.refresh_from_db()
    assert (second.status, second.events.count()) == ("draft", 0)
    start_job(job=first)  # changes nothing


def test_priority_is_the_owners_to_lower_and_the_operators_to_raise(alice: User, olivia: User, scripted) -> None:
    job = make_queued(alice)
    assert set_priority(job=job, priority=-1, by=alice).priority == -1
    with pytest.raises(Forbidden):
        set_priority(job=job, priority=1, by=alice)
    assert job.priority == -1
    set_priority(job=job, priority=1, by=olivia)
    with pytest.raises(Forbidden):
        set_priority(job=job, priority=0, by=alice)
    assert [event.payload["text"] for event in job.events.order_by("seq")] == [
        "alice set the priority to low.",
        "olivia set the priority to high.",
    ]
    TrainingJob.objects.update(status="succeeded")
    with pytest.raises(Conflict):
        set_priority(job=job, priority=0, by=olivia)


def test_an_operator_moves_a_job_up_and_its_log_says_who(alice: User, olivia: User, scripted) -> None:
    make_queued(alice, name="first")
    late = make_queued(alice, name="late")
    with pytest.raises(Forbidden):
        move_up_job(job=late, by=alice)
    assert late.queue_position == 2
    move_up_job(job=late, by=olivia)
    assert late.queue_position == 1
    assert late.events.get().payload["text"] == "olivia moved this job to the front of the queue."
    assert claim_job(executor="scripted")[0].pk == late.pk
    with pytest.raises(Conflict, match="running"):
        move_up_job(job=late, by=olivia)
