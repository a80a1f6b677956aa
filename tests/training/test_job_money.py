"""On a job's page: starting and resuming what costs money, its stations, and what was spent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User, UserLimits
from tests.factories import make_base_model, make_job
from tests.training.executors.conftest import store_token
from training import failures, money
from training.engine import checkpoints
from training.engine.rundir import RunDir
from training.models import TrainingJob
from training.phases import stations

pytestmark = pytest.mark.django_db
COST = {"estimated": {"low": 2.0, "high": 3.0}, "price_per_hour": 1.0}


def far(owner: User, **values: Any) -> TrainingJob:
    store_token(owner)
    return make_job(
        owner,
        **{"executor": "hf_jobs", "hardware": "a10g-small", "train_split": "train", "inputs": {"x": 1}, "cost": COST} | values,
    )


def test_a_budget_that_is_too_small_is_asked_for_on_the_page_and_a_larger_one_starts_it(alice: User, page: Client) -> None:
    job = far(alice, budget="1.00")
    refused = page.post(f"/training/{job.pk}/start", {"budget": "1.00"})
    text = refused.content.decode()
    assert refused.status_code == 422
    assert "foreseen to cost $2.00 to $3.00" in text
    assert 'name="budget"' in text
    assert 'aria-invalid="true"' in text
    assert "confirm_cost" not in text
    assert page.post(f"/training/{job.pk}/start", {"budget": "five"}).status_code == 422
    job.refresh_from_db()
    assert job.status == "draft"
    assert page.post(f"/training/{job.pk}/start", {"budget": "5"}).status_code == 302
    job.refresh_from_db()
    assert (job.status, str(job.budget)) == ("queued", "5.00")


def test_more_than_the_month_allows_is_asked_about_and_a_yes_starts_it(alice: User, page: Client, charlie_page: Client) -> None:
    job = far(alice)
    limits = UserLimits.objects.create(user=alice, usd_per_month="1.00", may_confirm=True)
    asked = page.post(f"/training/{job.pk}/start", {"budget": ""})
    assert asked.status_code == 422
    assert 'name="confirm_cost"' in asked.content.decode()
    assert charlie_page.post(f"/training/{job.pk}/start", {"confirm_cost": "1"}).status_code == 404
    assert page.post(f"/training/{job.pk}/start", {"budget": "", "confirm_cost": "1"}).status_code == 302
    limits.may_confirm = False
    limits.save()
    TrainingJob.objects.filter(pk=job.pk).update(status="failed", attempt=1)
    refused = page.post(f"/training/{job.pk}/resume", {"budget": "", "confirm_cost": "1"})
    assert refused.status_code == 422
    assert "ask an operator for more" in refused.content.decode()
    assert 'name="confirm_cost"' not in refused.content.decode()


def test_a_job_whose_budget_is_used_up_goes_on_with_a_new_one(alice: User, page: Client) -> None:
    cost = COST | {"attempts": {"1": 1.2}, "actual": 1.2, "warned": True, "stopped": True}
    job = far(
        alice, status="failed", attempt=1, budget="1.00", cost=cost, progress={"fraction": 0.5}, finished_at=datetime.now(UTC)
    )
    text = page.get(f"/training/{job.pk}").content.decode()
    assert "$1.20" in text
    assert "New budget" in text
    assert "$1.00 to $1.50" in text  # half of the run is still to do
    assert page.post(f"/training/{job.pk}/resume", {"budget": "1.00"}).status_code == 422
    assert page.post(f"/training/{job.pk}/resume", {"budget": "4.00"}).status_code == 302
    job.refresh_from_db()
    assert (job.status, str(job.budget), "stopped" in job.cost) == ("queued", "4.00", False)


@pytest.mark.parametrize("step", ["", "3"])
def test_a_resume_that_does_not_name_the_budget_keeps_it(alice: User, page: Client, step: str) -> None:
    job = far(alice, status="failed", attempt=1, budget="4.00", finished_at=datetime.now(UTC))
    directory = RunDir(job.run_dir).checkpoints
    checkpoints.commit(checkpoints.stage(directory, 3), directory, 3)
    assert page.post(f"/training/{job.pk}/resume", {"checkpoint": step}).status_code == 302
    job.refresh_from_db()
    assert (job.status, str(job.budget)) == ("queued", "4.00")


def test_an_emptied_budget_is_none_on_the_page_and_by_the_api(alice: User, page: Client, api: APIClient) -> None:
    store_token(alice)
    values = {
        "model": make_base_model(alice),
        "executor": "hf_jobs",
        "hardware": "a10g-small",
        "train_split": "train",
        "cost": COST,
    }
    values |= {"inputs": {"x": 1}, "status": "failed", "attempt": 1, "budget": "4.00", "finished_at": datetime.now(UTC)}
    asked = (
        lambda pk: page.post(f"/training/{pk}/resume", {"budget": ""}),
        lambda pk: api.post(f"/api/training/{pk}/resume", {"budget": None}, format="json"),
    )
    for resume in asked:
        job = make_job(alice, **values)
        assert resume(job.pk).status_code in (202, 302)
        job.refresh_from_db()
        assert (job.status, job.budget) == ("queued", None)
    job = make_job(alice, **values)
    assert api.post(f"/api/training/{job.pk}/resume", {}, format="json").json()["budget"] == "4.00"


def test_a_job_here_is_started_with_a_button_and_nothing_about_money(alice: User, page: Client) -> None:
    text = page.get(f"/training/{make_job(alice).pk}").content.decode()
    assert "Start training" in text
    assert "money-form" not in text


def test_what_is_said_of_a_used_up_budget_is_true_of_the_checkpoint(alice: User) -> None:
    job = far(alice, attempt=1, budget="1.00")
    told = failures.budget_reached(RunDir(job.run_dir), job)
    assert "had not written a checkpoint" in told["message"]
    assert "from the beginning" in told["hint"]
    first = RunDir(job.run_dir).checkpoints
    checkpoints.commit(checkpoints.stage(first, 8), first, 8)
    job.attempt = 2  # it began with the first one's, and has written none of its own
    told = failures.budget_reached(RunDir(job.run_dir), job)
    assert "its checkpoint of step 8 is kept" in told["message"]
    assert "where it stopped" in told["hint"]


def test_a_distant_run_passes_its_stations_in_order(alice: User, page: Client) -> None:
    assert stations("local", "running", "training") == []
    names = [station.value for station in stations("modal", "running", "pulling")]
    assert names == ["building", "starting", "pulling", "preparing", "training", "uploading"]
    assert [station.state for station in stations("modal", "running", "saving")] == ["done"] * 4 + ["now", "later"]
    assert {station.state for station in stations("hf_jobs", "succeeded", "")} == {"done"}
    assert {station.state for station in stations("hf_jobs", "failed", "")} == {"later"}
    job = far(alice, status="running", attempt=1, phase="starting", remote={"url": "https://huggingface.co/jobs/alice/1"})
    text = page.get(f"/training/{job.pk}").content.decode()
    assert 'data-station="starting" data-state="now"' in text
    assert 'href="https://huggingface.co/jobs/alice/1"' in text
    assert 'data-log-of="provider"' in text


def test_what_is_foreseen_is_of_the_rest(alice: User) -> None:
    assert money.foreseen(make_job(alice, model=make_base_model(alice), cost=COST, progress={"fraction": 0.75})) == {
        "low": 0.5,
        "high": 0.75,
    }
