"""What goes wrong elsewhere: each time the right end, the right cost, and nothing left behind."""

from __future__ import annotations

from typing import Any

import pytest
from grpclib.const import Status
from modal_proto import api_pb2 as pb

from tests.loopback_jobs import METRICS
from tests.training.conftest import steps_of
from tests.training.executors.conftest import AT_HUGGING_FACE, MODAL_TOKENS, TOKEN, Place
from training import device_samples, executors, remote_watch
from training.executors import hf_spaces, placement
from training.executors import modal as modal_executor
from training.models import TrainingJob
from training.services.resume_job import resume_job

pytestmark = pytest.mark.django_db


def texts(job: TrainingJob, kind: str = "warning") -> str:
    return " ".join(str(event.payload.get("text")) for event in job.events.filter(kind=kind))


def test_a_submit_whose_answer_is_lost_is_found_and_not_doubled(make_place) -> None:
    place: Place = make_place("hf_jobs")
    place.hub.jobs.lose_answer = 1
    place.queue()
    assert place.turn().status == "succeeded"
    assert len(place.hub.jobs.all) == 1


def test_a_worker_that_died_between_submit_and_receipt_finds_its_job(make_place) -> None:
    place: Place = make_place("hf_jobs")
    place.script |= {"total": 30, "seconds": 0.05}
    place.queue()
    job = place.turn(stop_at=1)
    (job.run_dir / "remote.json").unlink()
    job = place.turn()
    assert (job.status, len(place.hub.jobs.all)) == ("succeeded", 1)
    assert steps_of(job) == list(range(1, 31))


@pytest.mark.parametrize("status", [429, 503])
def test_a_provider_that_stumbles_is_asked_again(at_hugging_face: Place, status: int) -> None:
    place = at_hugging_face
    place.script |= {"total": 20, "seconds": 0.05}
    place.queue()
    job = place.turn(stop_at=1)
    place.hub.fail(status, r"/api/(jobs|spaces)/.*", times=6)
    job = place.turn()
    assert (job.status, job.restarts) == ("succeeded", 0)
    assert steps_of(job) == list(range(1, 21))
    assert place.left_behind == []


@pytest.mark.parametrize(("status", "refusals"), [(Status.UNAVAILABLE, 5), (Status.RESOURCE_EXHAUSTED, 3)])
def test_modal_that_stumbles_is_asked_again(make_place, status: Status, refusals: int) -> None:
    place: Place = make_place("modal")  # its client tries three times more where a service is unavailable
    place.script |= {"total": 20, "seconds": 0.05}
    place.modal.fail(status, "SandboxCreate", times=refusals)
    place.queue()
    job = place.turn(stop_at=1)
    place.modal.fail(status, "SandboxWait", times=6)
    job = place.turn()
    assert place.modal.failures == {"SandboxCreate": [], "SandboxWait": []}
    assert (job.status, job.restarts, len(place.modal.boxes)) == ("succeeded", 0, 1)
    assert steps_of(job) == list(range(1, 21))
    assert place.left_behind == []


def test_modal_without_capacity_ends_the_job_in_words(make_place) -> None:
    place: Place = make_place("modal")
    place.modal.fail(Status.RESOURCE_EXHAUSTED, "SandboxCreate", times=50)
    place.queue()
    job = place.turn()
    assert (job.status, job.error["code"], place.modal.boxes) == ("failed", "no_credit", [])
    assert place.left_behind == []


def test_what_a_jobs_machine_does_is_kept(make_place, monkeypatch: pytest.MonkeyPatch) -> None:
    place: Place = make_place("hf_jobs")
    monkeypatch.setattr(device_samples, "FIRST_SECONDS", 0.0)
    place.hub.jobs.metrics = [{"gpus": "torn"}, METRICS]
    place.script |= {"total": 60, "seconds": 0.05}
    place.queue()
    job = place.turn()
    assert (job.status, steps_of(job)) == ("succeeded", list(range(1, 61)))
    samples = [event for event in job.events.filter(kind="memory").order_by("seq") if "devices" in event.payload]
    device = {"id": "cuda:0", "name": "cpu-basic", "memory_used_bytes": 9_000_000_000, "memory_bytes": 22_836_000_000}
    assert samples[-1].payload["devices"] == [device | {"utilisation": 0.8, "temperature_celsius": None}]
    assert samples[-1].payload["step"]
    assert job.memory.get("peak_bytes", 0) == 0


def test_a_run_that_the_provider_kills_goes_on_from_its_checkpoint_there(far: Place) -> None:
    place = far
    place.scripts |= {1: {"total": 12, "save_every": 4, "seconds": 0.3}, 2: {"total": 12}}
    place.queue()
    job = place.turn(stop_at=7)
    _kill(place)
    job = place.turn()
    assert (job.status, job.restarts) == ("queued", 1)
    job = place.turn()
    assert (job.status, job.executor, job.attempt) == ("succeeded", place.name, 2)
    assert steps_of(job) == list(range(1, 13))
    begun = job.events.filter(kind="log", payload__details__has_key="resumed_from_step").order_by("seq")
    assert [event.payload["details"]["resumed_from_step"] for event in begun] == [0, 4]
    assert place.left_behind == []
    assert job.cost["actual"] >= 0
    assert set(job.cost["attempts"]) == {"1", "2"}


def test_a_checkpoint_that_never_came_home_is_in_the_bucket_and_the_next_attempt_goes_on_from_it(at_hugging_face: Place) -> None:
    place = at_hugging_face
    place.scripts |= {1: {"total": 12, "save_every": 4, "seconds": 0.3}, 2: {"total": 12}}
    place.queue()
    job = place.turn(stop_at=1)
    place.hub.fail(503, "/api/datasets/.*/commit/.*")  # the way home is shut from now on
    job = place.turn(stop_at=7)
    assert [path.name for path in place.hub.buckets.values()]
    _kill(place)
    place.hub._failures.clear()
    place.turn()
    job = place.turn()
    assert (job.status, job.attempt) == ("succeeded", 2)
    assert not list((job.run_dir.parent / "1" / "checkpoints").glob("*"))
    begun = job.events.filter(kind="log", payload__details__has_key="resumed_from_step").order_by("seq")
    assert [event.payload["details"]["resumed_from_step"] for event in begun] == [0, 4]
    assert steps_of(job) == list(range(1, 13))
    assert place.left_behind == []


def test_without_the_right_to_buckets_a_run_goes_on_from_the_repository(make_place) -> None:
    place: Place = make_place("hf_jobs")
    place.hub.no_buckets = True
    place.queue()
    job = place.turn()
    assert job.status == "succeeded"
    assert place.left_behind == []


def _kill(place: Place) -> None:
    """The provider ends it."""
    if place.name == "hf_jobs":
        place.hub.jobs.end(place.hub.jobs.all[0], "ERROR", "Job was evicted")
    elif place.name == "modal":
        place.modal.end(place.modal.boxes[0], pb.GenericResult.GENERIC_STATUS_FAILURE, 137)
    else:
        place.hub.spaces.crash(next(iter(place.hub.spaces.all.values())))


def test_a_space_that_is_moved_resumes_and_repeats_nothing(make_place) -> None:
    place: Place = make_place("hf_spaces")
    place.script |= {"total": 12, "save_every": 4, "seconds": 0.3}
    place.queue()
    job = place.turn(stop_at=7)
    space = next(iter(place.hub.spaces.all.values()))
    place.hub.spaces.restart(space)
    job = place.turn()
    assert (job.status, job.attempt, space.starts) == ("succeeded", 1, 2)
    assert steps_of(job) == list(range(1, 13))


def test_a_run_at_its_time_limit_is_told_so(make_place) -> None:
    place: Place = make_place("hf_jobs")
    place.script |= {"total": 100, "seconds": 0.1}
    place.queue()
    job = place.turn(stop_at=1)
    place.hub.jobs.end(place.hub.jobs.all[0], "ERROR", "Job timeout")
    job = place.turn()
    assert (job.status, job.error["code"]) == ("failed", "timed_out")
    assert place.left_behind == []


def test_a_token_revoked_in_mid_run_ends_in_words(far: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = far
    monkeypatch.setattr(remote_watch, "REFUSED_SECONDS", 0.3)
    place.script |= {"total": 200, "seconds": 0.1}
    place.queue()
    job = place.turn(stop_at=1)
    place.hub.tokens.pop(TOKEN)
    place.modal.accepted.clear()
    job = place.turn()
    assert (job.status, job.error["code"]) == ("failed", "access_refused")
    assert "The run goes on" in texts(job)
    assert TOKEN not in str(list(job.events.values_list("payload", flat=True))) + str(job.error)


def test_a_token_that_comes_back_brings_the_run_back(make_place, monkeypatch: pytest.MonkeyPatch) -> None:
    place: Place = make_place("hf_jobs")
    monkeypatch.setattr(remote_watch, "REFUSED_SECONDS", 30.0)
    place.script |= {"total": 20, "seconds": 0.1}
    place.queue()
    place.turn(stop_at=1)
    who = place.hub.tokens.pop(TOKEN)
    place.hub.jobs.refused = lambda: place.hub.tokens.update({TOKEN: who})  # at the next question but two
    job = place.turn()
    assert job.status == "succeeded"
    assert steps_of(job) == list(range(1, 21))


def test_a_log_that_breaks_off_is_read_again(make_place) -> None:
    place: Place = make_place("hf_jobs")
    place.script |= {"total": 20, "seconds": 0.05}
    place.hub.jobs.lose_log_after = 4
    place.queue()
    job = place.turn()
    assert job.status == "succeeded"
    assert steps_of(job) == list(range(1, 21))


def test_a_collect_that_fails_half_way_goes_on(at_hugging_face: Place) -> None:
    place = at_hugging_face
    place.hub.fail(502, r"/datasets/.*/resolve/.*output.*", times=2)
    place.queue()
    job = place.turn()
    assert (job.status, job.output_model.adapter) == ("succeeded", True)
    assert not (job.run_dir / ".collected").exists()
    assert place.left_behind == []


def test_a_build_that_fails_ends_the_job_at_once(make_place) -> None:
    place: Place = make_place("hf_spaces")
    place.hub.spaces.fail_build = "ERROR: no matching distribution found for torch"
    place.queue()
    job = place.turn()
    assert (job.status, job.error["code"]) == ("failed", "build_failed")
    assert "no matching distribution" in job.error["message"]
    assert "no matching distribution" in (job.run_dir / "provider.log").read_text()
    assert job.restarts == 0
    assert place.left_behind == []


def test_an_image_that_modal_can_not_build_ends_the_job_at_once(make_place) -> None:
    place: Place = make_place("modal")
    place.modal.fail_build = "Traceback\nERROR: no matching distribution found for torch"
    place.queue()
    job = place.turn()
    assert (job.status, job.error["code"], job.restarts) == ("failed", "build_failed", 0)
    assert "no matching distribution" in job.error["message"]
    assert place.modal.boxes == []
    assert place.left_behind == []


def test_without_credit_nothing_is_started(make_place) -> None:
    place: Place = make_place("hf_jobs")
    place.hub.no_credit = True
    place.queue()
    job = place.turn()
    assert (job.status, job.error["code"]) == ("failed", "no_credit")
    assert place.left_behind == []


def test_a_budget_that_is_used_up_stops_the_run_with_its_checkpoint(far: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = far
    monkeypatch.setattr(remote_watch, "COST_SECONDS", 0.1)
    place.scripts |= {1: {"total": 500, "seconds": 0.05}, 2: {"total": 20}}
    job = place.queue(budget="0.01", cost={"price_per_hour": 24.0, "currency": "USD"})  # a cent is one and a half seconds
    job = place.turn()
    assert (job.status, job.error["code"]) == ("failed", "budget_reached")
    last = steps_of(job)[-1]
    assert (job.run_dir / f"checkpoints/checkpoint-{last}/seal.json").exists()
    assert "is spent" in texts(job)
    assert job.cost["actual"] >= 0.01
    assert place.held == [*place.hub.buckets]  # what a resume may go on from
    assert len(place.hub.buckets) == (place.name in AT_HUGGING_FACE)
    place.scripts[2]["total"] = last + 5
    resume_job(job=job, budget="1.00")
    job = place.turn()
    assert job.status == "succeeded"
    assert steps_of(job) == list(range(1, last + 6))
    assert place.held == []


def test_a_space_that_no_longer_answers_is_paused(make_place, monkeypatch: pytest.MonkeyPatch) -> None:
    place: Place = make_place("hf_spaces")
    place.scripts |= {1: {"total": 200, "seconds": 0.1}, 2: {"total": 3}}
    place.queue()
    job = place.turn(stop_at=1)
    monkeypatch.setattr(hf_spaces, "HEARTBEAT_SECONDS", 0.5)
    monkeypatch.setattr(hf_spaces.HfSpaces, "_ask", _no_answer)
    job = place.turn()
    assert (job.status, job.restarts) == ("queued", 1)
    assert "did not answer" in str(job.events.filter(kind="status").order_by("-seq").first().payload)
    assert place.left_behind == [*place.hub.buckets]  # the next attempt goes on from it


def test_nothing_secret_is_written_anywhere(far: Place, settings: Any) -> None:
    place = far
    place.queue(keep_remote=True)
    job = place.turn()
    assert job.status == "succeeded"
    secrets = [TOKEN, settings.SECRET_KEY, placement.run_secret(placement.read(job.run_dir).key)]
    held = b"\n".join(path.read_bytes() for path in job.run_dir.rglob("*") if path.is_file())
    held += b"\n".join(body for repo in place.hub.repos.values() for body in repo.files.values())
    held += b"\n".join(path.read_bytes() for bucket in place.hub.buckets.values() for path in bucket.rglob("*") if path.is_file())
    told = str(list(job.events.values_list("payload", flat=True))) + str(job.cost) + str(job.remote)
    for space in place.hub.spaces.all.values():
        told += str(space.wanted.get("variables")) + str(space.lines + space.build_lines)
    for sent in place.hub.jobs.all:
        told += str({name: value for name, value in sent.wanted.items() if name != "secrets"}) + str(sent.lines)
    held += b"\n".join(body for volume in place.modal.volumes.values() for body in volume.values())
    told += str([(box.tags, box.lines, list(box.definition.entrypoint_args)) for box in place.modal.boxes]) + str(
        place.modal.images
    )
    secrets += MODAL_TOKENS.values()
    for secret in secrets:
        assert secret.encode() not in held
        assert secret not in told


def test_what_the_owner_keeps_is_stopped_and_listed_and_can_be_removed(far: Place) -> None:
    place = far
    place.queue(keep_remote=True)
    assert place.turn().status == "succeeded"
    executor = executors.load(place.name)
    orphans = executor.list_orphans(place.owner)
    assert orphans
    assert not any(orphan.running for orphan in orphans)
    for orphan in orphans:
        executor.remove_orphan(place.owner, orphan)
    assert executor.list_orphans(place.owner) == []


def test_a_lost_answer_of_modals_is_found_and_not_doubled(make_place) -> None:
    place: Place = make_place("modal")
    place.modal.lose_answer = 1
    place.script |= {"total": 40, "seconds": 0.05}
    place.queue()
    assert place.turn().status == "succeeded"
    assert len(place.modal.boxes) == 1


def test_a_sandbox_that_nobody_follows_stops_by_itself_with_its_checkpoint(make_place, monkeypatch: pytest.MonkeyPatch) -> None:
    place: Place = make_place("modal")
    monkeypatch.setattr(modal_executor, "LEASE_SECONDS", 4.0)
    place.script |= {"total": 500, "seconds": 0.1}
    place.queue()
    job = place.turn(stop_at=1)
    assert place.modal.boxes[0].process.wait(timeout=30) == 3
    job = place.turn()
    assert job.status == "queued"  # a worker is back: it goes on from there
    assert list((job.run_dir / "checkpoints").glob("checkpoint-*"))


def _no_answer(*arguments: Any, **options: Any) -> Any:
    from finetune.core.errors import Unavailable

    raise Unavailable("The Space can't be reached.")
