"""The analytics: right sums, by the last outcome of each job, of nobody else's; the page, its CSV, the API."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from finetune.dashboard.analytics import Chosen, analyse
from finetune.dashboard.models import JobOutcome
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_dataset, make_job
from training.models import TrainingJob

URL = "/api/dashboard/analytics"


@pytest.fixture
def base(alice: User) -> LanguageModel:
    return make_base_model(alice, name="tiny")


def ended(owner: User, base: LanguageModel, status: str = "succeeded", *, days_ago: int = 0, **values: Any) -> TrainingJob:
    numbers = {
        "seconds": 100.0, "tokens": 1000, "loss": 2.0, "eval": 1.5, "cost": 0.5, "low": 50.0, "high": 150.0, "device": "H100",
    } | values  # fmt: skip
    dataset = owner.datasets.first() or make_dataset(owner)
    return make_job(
        owner, model=base, dataset=dataset, status=status, attempt=1, method=numbers.get("method", "lora"),
        executor=numbers.get("executor", "local"), finished_at=timezone.now() - timedelta(days=days_ago),
        progress={"elapsed_seconds": numbers["seconds"]}, memory={"device": numbers["device"]}, cost={"actual": numbers["cost"]},
        metrics={"loss": numbers["loss"], "best_eval_loss": numbers["eval"], "num_tokens": numbers["tokens"]},
        estimate={"duration_seconds": {"low": numbers["low"], "high": numbers["high"]}},
    )  # fmt: skip


def test_the_sums_are_right(alice: User, base: LanguageModel) -> None:
    ended(alice, base, loss=2.0)
    ended(alice, base, loss=4.0, seconds=200.0, eval=1.0)
    ended(alice, base, "failed", cost=0.25)
    ended(alice, base, "cancelled", seconds=20.0, method="dpo", device="cpu")
    found = analyse(alice, Chosen(days=7))
    assert found["totals"] == {
        "jobs": 4, "succeeded": 2, "failed": 1, "cancelled": 1, "success_rate": pytest.approx(2 / 3), "seconds": 420.0, "tokens": 4000,
        "cost": 1.75,
    }  # fmt: skip
    assert [(row["method"], row["device"], row["seconds"]) for row in found["training_seconds_by_method"]] == [
        ("lora", "H100", 400.0),
        ("dpo", "cpu", 20.0),
    ]
    (loss,) = found["loss_by_method"]
    assert (loss["model"], loss["mean_loss"], loss["best_loss"], loss["best_eval_loss"]) == ("tiny", 3.0, 2.0, 1.0)
    (estimate,) = found["estimates"]
    assert (estimate["inside"], estimate["later"], estimate["sooner"], estimate["ratio"]) == (1, 1, 0, 1.5)
    assert found["top_models"][0]["jobs"] == 4
    assert found["cost_by_executor"] == [{"executor": "local", "jobs": 4, "seconds": 420.0, "cost": 1.75}]


def test_every_day_of_the_period_is_there_and_none_beside(alice: User, base: LanguageModel) -> None:
    for days_ago in (0, 6, 7):
        ended(alice, base, days_ago=days_ago)
    days = analyse(alice, Chosen(days=7))["jobs_per_day"]
    assert [day["succeeded"] for day in days] == [1, 0, 0, 0, 0, 0, 1]
    assert days[-1]["day"] == timezone.now().date()


def test_a_job_that_goes_on_counts_by_its_last_end(alice: User, base: LanguageModel) -> None:
    job = ended(alice, base, "failed")
    assert analyse(alice, Chosen())["totals"]["failed"] == 1
    TrainingJob.objects.filter(pk=job.pk).update(status="succeeded", finished_at=timezone.now())
    totals = analyse(alice, Chosen())["totals"]
    assert (totals["jobs"], totals["failed"], totals["succeeded"]) == (1, 0, 1)
    job.delete()
    assert analyse(alice, Chosen())["totals"]["jobs"] == 0


def test_a_diverged_run_spoils_no_mean(alice: User, base: LanguageModel) -> None:
    ended(alice, base, loss="NaN", eval=None)
    ended(alice, base, loss=2.0)
    assert analyse(alice, Chosen())["loss_by_method"][0]["mean_loss"] == 2.0


def test_filters_leave_the_rest_out(api: APIClient, alice: User, base: LanguageModel) -> None:
    other = make_base_model(alice, name="other", family="other")
    ended(alice, base), ended(alice, other, method="dpo", executor="modal")
    for query, jobs in (("", 2), ("?method=dpo", 1), ("?executor=local", 1), (f"?model_id={other.pk}", 1), ("?method=kto", 0)):
        assert api.get(URL + query).json()["totals"]["jobs"] == jobs, query


def test_nobody_elses_are_counted(api: APIClient, charlie_api: APIClient, alice: User, base: LanguageModel) -> None:
    ended(alice, base)
    assert charlie_api.get(URL).json()["totals"]["jobs"] == 0
    assert api.get(URL).json()["totals"]["jobs"] == 1
    assert JobOutcome.objects.get().owner == alice


def test_what_it_cost_by_provider_method_and_person(
    page: Client, alice: User, charlie: User, charlie_page: Client, base: LanguageModel
) -> None:
    theirs = make_base_model(charlie)
    ended(alice, base, executor="modal", cost=2.0)
    ended(alice, base, "failed", executor="hf_jobs", method="dpo", cost=1.25)
    ended(charlie, theirs, executor="modal", cost=4.0)
    ended(charlie, theirs, cost=0.0)
    found = analyse(alice, Chosen())
    assert [(row["executor"], row["cost"]) for row in found["cost_by_executor"]] == [("modal", 2.0), ("hf_jobs", 1.25)]
    assert [(row["method"], row["cost"]) for row in found["cost_by_method"]] == [("lora", 2.0), ("dpo", 1.25)]
    assert found["cost_by_user"] == []
    assert page.get("/analytics/cost_by_user.csv").status_code == 404
    User.objects.filter(pk=charlie.pk).update(is_staff=True)
    everybody = list(csv.DictReader(io.StringIO(charlie_page.get("/analytics/cost_by_user.csv").content.decode())))
    told = [(row["user"], row["executor"], row["method"], row["jobs"], row["cost"]) for row in everybody]
    assert told == [
        ("charlie", "modal", "lora", "1", "4.0"),
        ("alice", "modal", "lora", "1", "2.0"),
        ("alice", "hf_jobs", "dpo", "1", "1.25"),
    ]
    assert "by person" in charlie_page.get("/analytics").content.decode()
    assert "by person" not in page.get("/analytics").content.decode()


@pytest.mark.parametrize("query", ["days=0", "days=1000", "days=x", "model_id=x"])
def test_bad_filters_are_named(api: APIClient, page: Client, query: str) -> None:
    told = api.get(f"{URL}?{query}")
    assert (told.status_code, list(told.json()["fields"])) == (400, [query.split("=")[0]])
    assert "makes no sense" in page.get(f"/analytics?{query}").content.decode()


def test_the_page_says_it_in_words_and_numbers(page: Client, alice: User, base: LanguageModel) -> None:
    assert "No training ended in this time" in page.get("/analytics").content.decode()
    ended(alice, base)
    text = page.get("/analytics?days=7&method=").content.decode()
    assert "100 %" in text and "tiny" in text
    assert "1 succeeded</title>" in text


def test_each_table_is_a_csv_under_the_same_filters(page: Client, alice: User) -> None:
    base = make_base_model(alice, name="=cmd()")
    ended(alice, base), ended(alice, base, method="dpo")
    answer = page.get("/analytics/loss_by_method.csv?days=7&method=lora")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (row["method"], row["mean_loss"]) == ("lora", "2.0")
    assert row["model"] == "'=cmd()", "no spreadsheet takes it for a formula"
    assert page.get("/analytics/nothing.csv").status_code == 404
    assert page.get("/analytics/jobs_per_day.csv?days=x").status_code == 400


def test_it_takes_as_many_queries_for_many_jobs(alice: User, base: LanguageModel, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        ended(alice, base)
    analyse(alice, Chosen())
    with django_assert_max_num_queries(6):
        analyse(alice, Chosen())
