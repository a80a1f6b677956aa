"""GET /api/dashboard/stats."""

from __future__ import annotations

from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_base_model, make_dataset, make_job, make_version

URL = "/api/dashboard/stats"


def test_the_numbers_are_right(api: APIClient, alice: User) -> None:
    base = make_base_model(alice, bytes=1_000)
    make_version(alice, base=base, bytes=20)
    dataset = make_dataset(alice, bytes=300)
    running = make_job(alice, model=base, dataset=dataset, status="running", phase="training")
    for status in ("failed", "succeeded", "succeeded"):
        make_job(alice, model=base, dataset=dataset, status=status)
    stats = api.get(URL).json()
    assert (stats["datasets"], stats["models"]) == (1, 2)
    assert stats["jobs"] == {"total": 4, "by_status": {"running": 1, "failed": 1, "succeeded": 2}}
    assert stats["storage_bytes"] == 1_320
    assert [job["id"] for job in stats["running_jobs"]] == [running.pk]
    assert [job["status"] for job in stats["recent_jobs"]] == ["succeeded", "succeeded", "failed", "running"]
    assert stats["recent_jobs"][-1]["phase"] == "training"


def test_it_names_the_devices_of_this_machine(api: APIClient) -> None:
    devices = api.get(URL).json()["devices"]
    assert "cpu" in {device["kind"] for device in devices}
    assert all(device["memory_bytes"] > 0 for device in devices if device["kind"] == "cpu")


def test_what_belongs_to_others_is_never_counted(charlie_api: APIClient, alice: User) -> None:
    make_job(alice, status="running")
    make_version(alice, base=make_base_model(alice, family="other", bytes=5))
    stats = charlie_api.get(URL).json()
    assert (stats["datasets"], stats["models"], stats["storage_bytes"]) == (0, 0, 0)
    assert stats["jobs"] == {"total": 0, "by_status": {}}
    assert stats["recent_jobs"] == stats["running_jobs"] == []


def test_anonymous_callers_are_refused(anonymous_api: APIClient) -> None:
    assert anonymous_api.get(URL).status_code == 401


def test_running_jobs_come_before_those_that_wait(api: APIClient, alice: User) -> None:
    base, dataset, now = make_base_model(alice), make_dataset(alice), timezone.now()
    waiting = make_job(alice, model=base, dataset=dataset, status="queued", queued_at=now)
    running = make_job(alice, model=base, dataset=dataset, status="running", queued_at=now, started_at=now)
    assert [job["id"] for job in api.get(URL).json()["running_jobs"]] == [running.pk, waiting.pk]
