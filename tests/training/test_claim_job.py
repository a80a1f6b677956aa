"""Two workers never follow the same job."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from tests.training.conftest import claimed, make_queued
from training.lease import Lease, held, machine, new_owner
from training.models import TrainingJob
from training.services.claim_job import claim_job, orphans


def update(job: TrainingJob, **values) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(**values)


def test_it_takes_the_oldest_and_counts_the_attempt(queued: TrainingJob, alice: User) -> None:
    make_queued(alice, name="later")
    job, lease = claim_job(executor="scripted")
    assert (job.pk, job.status, job.phase, job.attempt) == (queued.pk, "running", "preparing", 1)
    assert (lease.attempt, lease.owner) == (1, job.lease_owner)
    assert job.lease_expires_at > timezone.now()
    assert job.events.filter(kind="status", payload__status="running").count() == 1


def test_a_second_delivery_finds_nothing(queued: TrainingJob) -> None:
    assert claim_job(executor="scripted")
    assert claim_job(executor="scripted") is None


def test_other_executors_jobs_are_left_alone(queued: TrainingJob) -> None:
    assert claim_job(executor="local") is None


def test_a_job_somebody_follows_is_not_adopted(queued: TrainingJob) -> None:
    claimed(queued)
    assert claim_job(executor="scripted") is None


def test_an_expired_lease_of_this_machine_is_taken_over_in_the_same_attempt(queued: TrainingJob) -> None:
    old = claimed(queued)
    update(queued, lease_expires_at=timezone.now() - timedelta(seconds=1))
    job, lease = claim_job(executor="scripted")
    assert (job.pk, lease.attempt) == (queued.pk, 1)
    assert not old.renew()
    assert lease.renew()


def test_a_dead_holder_on_this_machine_is_not_waited_for(queued: TrainingJob) -> None:
    claimed(queued)
    update(queued, lease_owner=f"{machine()}|4194999|1.00|x")
    assert orphans().get().pk == queued.pk


def test_another_machines_lease_is_given_more_time(queued: TrainingJob, settings) -> None:
    claimed(queued)
    update(queued, lease_owner="elsewhere-1|12|1.00|x", lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert not orphans().exists()
    update(queued, lease_expires_at=timezone.now() - timedelta(seconds=4 * settings.JOB_LEASE_SECONDS + 1))
    assert orphans().exists()


def test_a_released_lease_is_free_at_once_and_a_lost_one_cannot_be_released(queued: TrainingJob) -> None:
    lease = claimed(queued)
    assert not Lease(queued.pk, 1, "another").release()
    assert not orphans().exists()
    assert lease.release()
    assert orphans().exists()


def test_owners_are_unique_and_fit_the_column() -> None:
    names = {new_owner() for _ in range(50)}
    assert len(names) == 50
    assert all(len(name) <= 100 for name in names)


@pytest.mark.django_db(transaction=True)
def test_a_lease_is_renewed_while_something_takes_long(queued: TrainingJob, settings) -> None:
    lease = claimed(queued)
    settings.JOB_LEASE_SECONDS = 1
    lease.renew()
    with held(lease):
        time.sleep(1.6)
        assert not orphans().exists()
    time.sleep(1.1)
    assert orphans().exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_wins(alice: User, scripted, settings) -> None:
    settings.TRAINING_SLOTS = 3
    jobs = {make_queued(alice, name=str(number)).pk for number in range(3)}
    taken: list[int] = []
    barrier = threading.Barrier(6)

    def worker() -> None:
        barrier.wait()
        if found := claim_job(executor="scripted"):
            taken.append(found[0].pk)
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(jobs)
    assert set(TrainingJob.objects.values_list("attempt", flat=True)) == {1}
