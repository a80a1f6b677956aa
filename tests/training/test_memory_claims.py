"""What training runs were promised, and that warm models leave it alone."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from models_app import warm_models
from tests.factories import make_base_model, make_dataset, make_job
from training import device_reports, slots
from training.engine.rundir import RunDir
from training.lease import machine, new_owner
from training.memory_claims import claimed_and_used
from training.models import DeviceHold

GB = 10**9


def estimate(high: int) -> dict[str, Any]:
    return {"memory_bytes": {"low": high // 2, "high": high}}


@pytest.fixture(autouse=True)
def no_reports() -> None:
    from finetune.core import streams

    streams.connection().delete("aift:board:devices")


def test_a_running_job_claims_its_estimate_and_holds_what_its_process_has(alice: User) -> None:
    job = make_job(alice, status="running", attempt=1, lease_owner=new_owner(), estimate=estimate(30 * GB))
    assert claimed_and_used("cpu") == (30 * GB, 0)
    job.run_dir.mkdir(parents=True, exist_ok=True)
    RunDir(job.run_dir).process_file.write_text(json.dumps({"pid": os.getpid()}))
    claimed, used = claimed_and_used("cpu")
    assert claimed == 30 * GB
    assert used > 10**7


def test_a_job_that_needs_more_than_was_foreseen_claims_that(alice: User) -> None:
    make_job(alice, status="running", attempt=1, lease_owner=new_owner(), estimate=estimate(GB), memory={"peak_bytes": 3 * GB})
    assert claimed_and_used("cuda:0") == (3 * GB, 3 * GB)


def test_other_machines_and_other_executors_claim_nothing_here(alice: User) -> None:
    same = {"model": make_base_model(alice), "dataset": make_dataset(alice), "attempt": 1, "estimate": estimate(GB)}
    make_job(alice, status="running", lease_owner="elsewhere-1|1|1|x", **same)
    make_job(alice, status="running", executor="modal", lease_owner=new_owner(), **same)
    make_job(alice, status="succeeded", lease_owner=new_owner(), **same)
    assert claimed_and_used("cpu") == (0, 0)


def test_the_next_in_the_queue_claims_where_this_machine_trains(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"model": make_base_model(alice), "dataset": make_dataset(alice)}
    make_job(alice, status="queued", queued_at=timezone.now(), estimate=estimate(2 * GB), **same)
    assert claimed_and_used("cpu") == (0, 0)
    device_reports.board.pin(device_reports.BOARD, "me", {"machine": machine(), "devices": []})
    assert claimed_and_used("cpu") == (2 * GB, 0)
    make_job(alice, status="running", attempt=1, lease_owner=new_owner(), estimate=estimate(GB), **same)
    assert claimed_and_used("cpu")[0] == 2 * GB  # it comes in the place of the one that runs
    monkeypatch.setattr(slots, "slots", lambda: ["0", "1"])
    assert claimed_and_used("cpu")[0] == 3 * GB  # beside it
    assert claimed_and_used("cuda:0")[0] == 2 * GB


def test_a_run_has_its_own_gpus_only(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "slots", lambda: ["4", "7"])
    job = make_job(alice, status="running", attempt=1, lease_owner=new_owner(), estimate=estimate(GB))
    DeviceHold.objects.create(job=job, machine=machine(), device="7")
    assert [claimed_and_used(device)[0] for device in ("cuda:0", "cuda:1", "cuda:2", "cpu")] == [0, GB, 0, GB]


def test_warm_models_get_what_is_left(alice: User, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(warm_models, "_memory", lambda device: (50 * GB, 100 * GB))
    assert warm_models.room("cpu", 4 * GB) == 49 * GB  # free + held − a twentieth of all
    make_job(alice, status="running", attempt=1, lease_owner=new_owner(), estimate=estimate(30 * GB))
    assert warm_models.room("cpu", 4 * GB) == 19 * GB
    settings.INFERENCE_MEMORY_BYTES = GB
    assert warm_models.room("cpu", 4 * GB) == GB
