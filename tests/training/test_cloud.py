"""Places and money before anything runs; what providers hold; prices."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from modal_proto import api_pb2 as pb

from accounts.models import Credential, User, UserLimits
from finetune.core import modal_runs
from finetune.core.errors import Conflict, Invalid
from tests.factories import make_base_model, make_dataset, make_job
from tests.loopback_sandbox import Box
from tests.training.executors.conftest import TOKEN, hub, modal_server, store_modal_tokens, store_token  # noqa: F401
from training import money, prices, spending
from training.executors.placement import Placement, parse_key
from training.models import HardwarePrice, TrainingJob
from training.placing import time_limit
from training.services.create_job import create_job
from training.services.forget_jobs import forget, forget_ended
from training.services.list_cloud_runs import list_cloud_runs
from training.services.refresh_prices import refresh, refresh_prices
from training.services.start_job import start_job
from training.services.stop_cloud_run import stop_cloud_run

pytestmark = pytest.mark.django_db


def remote_job(owner: User, **values: Any) -> TrainingJob:
    return make_job(owner, executor="hf_jobs", hardware="a10g-small", train_split="train", **values)


def new(owner: User, **values: Any) -> TrainingJob:
    ids = {"model_id": make_base_model(owner).pk, "dataset_id": make_dataset(owner).pk}
    return create_job(owner=owner, name="far", method="lora", **ids, **values)


def test_without_a_token_nothing_can_be_chosen_and_the_page_says_where_to_go(alice: User, page) -> None:
    with pytest.raises(Invalid) as refused:
        new(alice, executor="hf_jobs", hardware="a10g-small")
    assert "token" in refused.value.fields["executor"][0]
    text = page.get("/training/new").content.decode()
    assert "Save a Hugging Face token that may write" in text
    assert 'href="/settings"' in text


def test_a_token_that_may_only_read_is_not_enough(alice: User) -> None:
    store_token(alice, role="read")
    with pytest.raises(Invalid, match="may only read"):
        new(alice, executor="hf_spaces", hardware="t4-small")


@pytest.mark.parametrize(("hardware", "budget", "field"), [("h900", None, "hardware"), ("", None, "hardware"), ("t4-small", "x", "budget"), ("t4-small", "-1", "budget")])  # fmt: skip
def test_a_place_that_is_none_is_refused_by_name(alice: User, hardware: str, budget: Any, field: str) -> None:
    store_token(alice)
    with pytest.raises(Invalid) as refused:
        new(alice, executor="hf_jobs", hardware=hardware, budget=budget)
    assert list(refused.value.fields) == [field]
    assert not TrainingJob.objects.exists()


def test_a_job_keeps_its_place_and_budget(alice: User, api) -> None:
    store_token(alice)
    job = new(alice, executor="hf_jobs", hardware="a10g-small", budget="2.5", keep_remote=True)
    told = api.get(f"/api/training/{job.pk}").json()
    assert (told["hardware"], told["budget"], told["keep_remote"]) == ("a10g-small", "2.50", True)


def test_what_costs_more_than_its_budget_is_not_started(alice: User) -> None:
    store_token(alice)
    job = remote_job(alice, budget="1.00", cost={"estimated": {"low": 1.5, "high": 3.0}, "price_per_hour": 1.0}, inputs={"x": 1})
    with pytest.raises(Invalid) as refused:
        start_job(job=job)
    assert refused.value.code == "budget_too_small"
    job.refresh_from_db()
    assert job.status == "draft"


def test_the_months_limit_blocks_or_asks(alice: User) -> None:
    limits = UserLimits.objects.create(user=alice, usd_per_month="5.00")
    model = make_base_model(alice)
    remote_job(alice, model=model, status="succeeded", queued_at=datetime.now(UTC), cost={"attempts": {"1": 4.5}})
    job = remote_job(alice, model=model, cost={"estimated": {"low": 0.2, "high": 1.0}})
    with pytest.raises(Conflict) as refused:
        spending.refuse_cost(job, confirmed=True)
    assert refused.value.code == "spending_limit"
    limits.may_confirm = True
    limits.save()
    with pytest.raises(Conflict) as asked:
        spending.refuse_cost(job)
    assert asked.value.code == "confirm_cost"
    spending.refuse_cost(job, confirmed=True)
    job.budget = 0.4  # what it may cost at most then fits
    spending.refuse_cost(job)


def test_what_a_resumed_job_has_spent_counts_for_the_month(alice: User) -> None:
    UserLimits.objects.create(user=alice, usd_per_month="5.00")
    cost = {"estimated": {"low": 4.0, "high": 6.0}, "attempts": {"1": 4.5}}
    job = remote_job(alice, status="failed", queued_at=datetime.now(UTC), cost=cost, progress={"fraction": 0.75})
    with pytest.raises(Conflict, match=r"You have used \$4\.50 of your \$5\.00 for this month, and this may cost \$1\.50"):
        spending.refuse_cost(job)


def test_an_operators_price_comes_first_then_the_providers_then_the_list(alice: User, hub, api) -> None:  # noqa: F811
    store_token(alice)
    listed = prices.find_hardware("hf_jobs", "a10g-small")
    assert (listed.price_per_hour, listed.price_as_of) == (1.0, "2026-08-21")
    assert api.post("/api/training/cloud/prices").json() == {"stored": 4}
    live = prices.find_hardware("hf_jobs", "a10g-small")
    assert live.price_per_hour == pytest.approx(1.05)
    assert live.memory_bytes == 24 * 1024**3
    assert live.price_source == "told by the provider"
    HardwarePrice.objects.filter(executor="hf_jobs", hardware="a10g-small").update(usd_per_hour="0.50", source="operator")
    assert refresh_prices(user=alice) == 3
    assert prices.find_hardware("hf_jobs", "a10g-small").price_per_hour == 0.5


def test_beat_reads_the_prices_as_nobody_where_somebody_uses_hugging_face(alice: User, hub) -> None:  # noqa: F811
    assert refresh() == 0
    assert hub.requests == []
    store_token(alice)
    assert refresh() == 4
    assert set(hub.authorizations) == {None}
    hub.fail(500, "/api/.*hardware")
    assert refresh() == 0
    assert HardwarePrice.objects.count() == 4


def test_modals_prices_hold_the_cores_and_the_memory_that_are_asked_for() -> None:
    one, four = (prices.find_hardware("modal", name) for name in ("A10G", "A10G:4"))
    assert one.price_per_hour == pytest.approx(1.1016 + 3600 * (2 * 0.0000393 + 8 * 0.00000666), abs=1e-3)
    assert four.price_per_hour == pytest.approx(4 * one.price_per_hour, abs=1e-3)
    assert "2 cores and 8 GiB" in one.price_source


def test_what_no_job_needs_is_listed_with_its_cost_and_can_be_stopped(alice: User, charlie_api, page, hub) -> None:  # noqa: F811
    store_token(alice)
    job = remote_job(alice, status="running", attempt=1)
    keys = [Placement(job.pk, number, alice.pk, "cpu-basic", 900).key for number in (1, 2)]
    for key in keys:
        hub.add("datasets", f"alice/{key}", {"run/spec.json": b"{}"}, private=True)
    found = list_cloud_runs(user=alice)
    assert [run.held.run_key for run in found.orphans] == [keys[1]]
    assert keys[1] in page.get("/training/cloud").content.decode()
    with pytest.raises(Conflict):
        stop_cloud_run(user=alice, executor="hf_jobs", held_id=f"alice/{keys[0]}")
    assert page.post("/training/cloud/stop", {"executor": "hf_jobs", "id": f"alice/{keys[1]}"}).status_code == 302
    assert [run.held.run_key for run in list_cloud_runs(user=alice).runs] == [keys[0]]
    assert charlie_api.get("/api/training/cloud").json() == {"runs": [], "troubles": {}}


def test_many_things_at_a_provider_take_as_many_queries_as_few(alice: User, hub) -> None:  # noqa: F811
    store_token(alice)
    with CaptureQueriesContext(connection) as few:
        list_cloud_runs(user=alice)
    model = make_base_model(alice)
    for number in range(1, 6):
        job = remote_job(alice, model=model, status="running", attempt=1)
        hub.add("datasets", f"alice/{Placement(job.pk, number, alice.pk, '', 900).key}", {}, private=True)
    with CaptureQueriesContext(connection) as many:
        assert len(list_cloud_runs(user=alice).runs) == 5
    assert len(many) == len(few) + 2  # the jobs and the price list of the one provider that holds something


def test_the_bucket_of_a_job_that_can_be_resumed_stays_for_a_week_or_until_the_job_is_deleted(
    alice: User,
    api,
    page,
    hub,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks,
) -> None:
    monkeypatch.setattr(forget, "delay", forget)
    store_token(alice)
    days = {"old": 8, "kept": 8, "new": 6, "deleted": 1, "resumed": 8}
    values = {"model": make_base_model(alice), "status": "failed", "attempt": 1}
    jobs = {name: remote_job(alice, finished_at=timezone.now() - timedelta(days=number), **values) for name, number in days.items()}
    TrainingJob.objects.filter(pk=jobs["kept"].pk).update(keep_remote=True)
    TrainingJob.objects.filter(pk=jobs["resumed"].pk).update(status="queued")
    names = {name: f"alice/{Placement(job.pk, 1, alice.pk, '', 900).shared_key}" for name, job in jobs.items()}
    stranger = f"alice/{Placement(99_999, 1, alice.pk, '', 900).shared_key}"  # no job's: the database may have been put back
    for name in (*names.values(), stranger):
        hub.create_bucket(name)
    found = list_cloud_runs(user=alice)
    assert {run.held.id for run in found.runs if run.kept} == {names[name] for name in ("old", "kept", "new", "deleted")}
    assert [run.held.id for run in found.orphans] == [stranger]
    assert page.get("/training/cloud").content.decode().count("kept for Resume") == 4
    call_command("cloud_runs", "--stop")
    assert set(hub.buckets) == {*names.values()}
    hub.create_bucket(stranger)
    forget_ended()
    assert set(hub.buckets) == {stranger, *(names[name] for name in ("kept", "new", "deleted", "resumed"))}
    with django_capture_on_commit_callbacks(execute=True):
        assert api.delete(f"/api/training/{jobs['deleted'].pk}").status_code == 204
    assert set(hub.buckets) == {stranger, *(names[name] for name in ("kept", "new", "resumed"))}


def test_what_a_provider_does_not_let_go_stops_no_deletion(
    alice: User,
    api,
    hub,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks,
) -> None:
    monkeypatch.setattr(forget, "delay", forget)
    store_token(alice)
    job = remote_job(alice, status="failed", attempt=1)
    hub.create_bucket(name := f"alice/{Placement(job.pk, 1, alice.pk, '', 900).shared_key}")
    Credential.objects.filter(owner=alice).delete()
    with django_capture_on_commit_callbacks(execute=True):
        assert api.delete(f"/api/training/{job.pk}").status_code == 204
    assert set(hub.buckets) == {name}


def test_what_runs_and_is_needed_by_nobody_has_its_cost_so_far(alice: User, page, hub, modal_server, tmp_path: Path) -> None:  # noqa: F811
    store_token(alice)
    store_modal_tokens(alice)
    key = Placement(7, 1, alice.pk, "", 900).key
    tags = modal_runs._tags(key, "A10G:4") | {modal_runs.STARTED_TAG: str(int(time.time()) - 1800)}
    boxes = [Box(pb.Sandbox(), tags, tmp_path), Box(pb.Sandbox(), {modal_runs.TAG: key}, tmp_path)]
    modal_server.boxes += boxes
    for number, stage in enumerate(("RUNNING", "PAUSED"), 1):
        name = f"alice/{Placement(8, number, alice.pk, '', 900).key}"
        hub.add("spaces", name, {}, private=True)
        hub.spaces.created(name, {"hardware": "t4-small"})
        hub.spaces.all[name].created, hub.spaces.all[name].stage = time.time() - 7200, stage
    found = {run.held.id: run for run in list_cloud_runs(user=alice).orphans}
    costs = [found[box.id].cost for box in boxes]
    assert costs == [pytest.approx(prices.find_hardware("modal", "A10G:4").price_per_hour / 2, rel=0.02), None]
    assert "does not tell its hardware" in found[boxes[1].id].cost_note
    running, paused = (run for run in found.values() if run.held.what == "Space")
    assert (running.cost, running.held.hardware) == (pytest.approx(2 * 0.40, rel=0.02), "t4-small")
    assert (paused.cost, "storage" in paused.cost_note) == (None, True)
    text = page.get("/training/cloud").content.decode()
    assert "at most $0.80 so far (counted from when the Space was made" in text
    assert "cost unknown" in text


def test_a_provider_that_does_not_answer_is_named(alice: User, hub) -> None:  # noqa: F811
    store_token(alice)
    hub.fail(403, "/api/.*")  # a 5xx is asked again by the client, for a minute
    assert set(list_cloud_runs(user=alice).troubles) == {"hf_jobs", "hf_spaces"}


def test_a_runs_time_limit_follows_its_estimate_and_its_money(alice: User) -> None:
    job = remote_job(alice, estimate={"duration_seconds": {"low": 1000, "high": 3000}})
    assert time_limit(job) == 2 * 3000 + 240
    job.budget = 0.5  # half an hour of a10g-small
    assert time_limit(job) == int(1800 * 1.1 + 120)


def test_an_estimate_at_a_provider_has_a_price(alice: User) -> None:
    assert money.estimate("hf_jobs", 1.0, {"low": 3600, "high": 7200}) == {"low": pytest.approx(1.0333, abs=1e-3), "high": pytest.approx(2.0667, abs=1e-3)}  # fmt: skip


def test_only_our_own_keys_are_ours() -> None:
    key = Placement(7, 2, 1, "t4-small", 900).key
    assert parse_key(key) == (7, 2)
    assert parse_key("aift-00000000-7-2") is None
    assert parse_key("something") is None


def test_a_stored_token_stays_encrypted(alice: User) -> None:
    store_token(alice)
    assert TOKEN not in Credential.objects.get().ciphertext
