"""A job's curves reach its trackers exactly once, whatever dies or is silent in between, and the job never notices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Credential, User
from accounts.services.check_credential import check_credential
from accounts.services.save_tracker import save_tracker
from finetune.core.errors import Invalid, Unavailable
from tests.factories import make_event, make_job
from tests.loopback_trackers import KEY, Trackers
from training.models import TrainingJob
from training.services.create_job import create_job
from training.services.report_run import MOST_TRIES, open_reports, report, report_due, report_run
from training.services.send_again import send_again
from training.tracker_models import TrackerRun

KINDS = ["wandb", "mlflow"]


@pytest.fixture
def job(alice: User, trackers: Trackers) -> TrainingJob:
    save_tracker(user=alice, kind="wandb", secret=KEY, url=trackers.url, project="legs")
    save_tracker(user=alice, kind="mlflow", secret=KEY, url=trackers.url, username="ada", project="legs")
    made = make_job(alice, status="running", attempt=1, started_at=timezone.now(), report_to=KINDS)
    open_reports(made)
    return made


def say(job: TrainingJob, first: int, last: int) -> None:
    for step in range(first, last + 1):
        values = {"loss": 1 / step, "learning_rate": 1e-3, "odd": None}
        make_event(job, step, step=step, epoch=step / 10, split="train", values=values, elapsed_seconds=step)


def turn(job: TrainingJob, kind: str) -> TrackerRun:
    run = TrackerRun.objects.select_related("job__owner", "job__model", "job__dataset").get(job=job, kind=kind)
    return report_run(run=run)


def points(trackers: Trackers, kind: str) -> list[tuple[int, float]]:
    """(step, train/loss) that the tracker has."""
    if kind == "wandb":
        return [(line["_step"], line["train/loss"]) for line in next(iter(trackers.wandb.values()))["history"]]
    found = next(iter(trackers.runs.values()))["metrics"]
    return sorted((step, value) for name, value, step, _ in found if name == "train/loss")


@pytest.mark.parametrize("kind", KINDS)
def test_the_curve_is_there_while_it_runs_and_is_closed_at_its_end(job: TrainingJob, trackers: Trackers, kind: str) -> None:
    say(job, 1, 3)
    run = turn(job, kind)
    assert points(trackers, kind) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert (run.done, run.error, run.sent_seq) == (False, "", 3) and run.url.startswith(trackers.url)
    say(job, 4, 5)
    make_event(job, 6, step=5, epoch=0.5, split="eval", values={"eval_loss": 0.7}, elapsed_seconds=5)
    TrainingJob.objects.filter(pk=job.pk).update(status="succeeded", finished_at=timezone.now())
    run = turn(job, kind)
    assert run.done and len(points(trackers, kind)) == 5
    if kind == "wandb":
        (path, told), *more = trackers.wandb.items()
        assert path == f"ada/legs/{run.key}" and not more and run.url == f"{trackers.url}/{path.replace('legs/', 'legs/runs/')}"
        assert told["complete"] == 0 and told["title"] == job.name and told["config"]["method"] == {"value": "lora"}
        assert told["history"][-1]["eval/loss"] == 0.7 and told["summary"]["_step"] == 5 and "train/odd" not in told["history"][0]
    else:
        (told,) = trackers.runs.values()
        assert (told["status"], told["name"], told["params"]["method"]) == ("FINISHED", job.name, "lora")
        assert ("eval/loss", 0.7, 5) in {metric[:3] for metric in told["metrics"]}


def test_a_job_may_name_its_own_place(job: TrainingJob, trackers: Trackers) -> None:
    place = {"project": "arms", "name": "second try", "tags": ["aifinetune.run", "lab/x"]}
    TrainingJob.objects.filter(pk=job.pk).update(tracker_places={"wandb": {**place, "entity": "lab"}, "mlflow": place})
    say(job, 1, 1)
    run = turn(job, "wandb")
    told = trackers.wandb[f"lab/arms/{run.key}"]
    assert (told["title"], told["tags"]) == ("second try", place["tags"])
    run = turn(job, "mlflow")
    (told,) = trackers.runs.values()
    assert list(trackers.experiments) == ["arms"] and told["name"] == "second try"
    assert told["tags"]["lab/x"] == "" and told["tags"]["aifinetune.run"] == run.key, "no tag takes the place of ours"


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_dies_anywhere_leaves_nothing_doubled(job: TrainingJob, trackers: Trackers, kind: str) -> None:
    say(job, 1, 4)
    turn(job, kind)
    TrackerRun.objects.filter(job=job, kind=kind).update(
        place={}, url="", sent_seq=0, sent_points=0
    )  # nothing of it was written down
    turn(job, kind)
    assert points(trackers, kind) == [(step, 1 / step) for step in range(1, 5)]
    assert len(trackers.wandb if kind == "wandb" else trackers.runs) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_tracker_that_is_down_is_asked_ever_later_and_then_given_up(job: TrainingJob, trackers: Trackers, kind: str) -> None:
    say(job, 1, 2)
    trackers.fail = 3
    waits = []
    for _ in range(3):
        run = turn(job, kind)
        waits.append((run.next_at - timezone.now()).total_seconds())
        assert not run.done and "503" in run.error
    assert waits == sorted(waits) and waits[-1] > 2 * waits[0]
    run = turn(job, kind)
    assert (run.error, run.tries) == ("", 0) and len(points(trackers, kind)) == 2
    trackers.fail = 1
    TrackerRun.objects.filter(pk=run.pk).update(tries=MOST_TRIES - 1, place={})
    assert turn(job, kind).done
    assert send_again(job=job) == 1
    assert not turn(job, kind).error


def test_a_key_that_is_refused_ends_it_with_words_and_without_the_key(job: TrainingJob, trackers: Trackers, page: Any) -> None:
    from finetune.core import crypto

    Credential.objects.filter(kind="wandb").update(ciphertext=crypto.encrypt("wrong" * 8))
    run = turn(job, "wandb")
    assert run.done and "refused the key" in run.error
    shown = page.get(f"/training/{job.pk}").content.decode()
    assert "refused the key" in shown and "wrongwrong" not in shown
    Credential.objects.filter(kind="mlflow").delete()
    assert "No account" in turn(job, "mlflow").error


def test_a_run_that_somebody_deleted_there_is_said(job: TrainingJob, trackers: Trackers) -> None:
    say(job, 1, 2)
    turn(job, "mlflow")
    trackers.runs.clear()
    say(job, 3, 4)
    run = turn(job, "mlflow")
    assert run.done and "not found" in run.error and run.sent_seq == 2


def test_a_name_server_that_is_silent_ends_nothing(job: TrainingJob, trackers: Trackers, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*args: Any, **kwargs: Any) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr("finetune.core.outbound.socket.getaddrinfo", silent)
    for kind in KINDS:
        run = turn(job, kind)
        assert not run.done and "can't be found now" in run.error
        with pytest.raises(Unavailable):
            check_credential(user=job.owner, kind=kind)
    assert Credential.objects.filter(valid=True).count() == 2


def test_each_due_run_is_handed_out_once(job: TrainingJob, trackers: Trackers, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[int] = []
    monkeypatch.setattr(report, "delay_on_commit", handed.append)
    TrackerRun.objects.filter(kind="mlflow").update(next_at=timezone.now() + timedelta(seconds=60))
    report_due()
    report_due()
    assert handed == [TrackerRun.objects.get(kind="wandb").pk]
    report(handed[0])
    assert trackers.wandb and not trackers.runs
    TrackerRun.objects.update(done=True)
    open_reports(job)  # the next attempt
    assert TrackerRun.objects.filter(done=False).count() == 2


def test_a_job_names_only_trackers_of_its_owner(job: TrainingJob, alice: User, charlie: User, api: Any) -> None:
    values = {"name": "x", "model_id": job.model_id, "dataset_id": job.dataset_id, "method": "lora"}
    made = api.post("/api/training", {**values, "report_to": ["wandb", "wandb"]}).json()
    assert made["report_to"] == ["wandb"] and made["trackers"] == []
    assert api.post("/api/training", {**values, "report_to": ["comet"]}).json()["fields"].keys() == {"report_to"}
    places = {"wandb": {"project": "arms", "entity": " "}}
    made = api.post("/api/training", {**values, "report_to": ["wandb"], "tracker_places": places}).json()
    assert made["tracker_places"] == {"wandb": {"project": "arms"}}
    assert api.patch(f"/api/training/{made['id']}", {"report_to": ["mlflow"]}).json()["tracker_places"] == {}
    for wrong in ({"mlflow": {}}, {"wandb": {"project": "a/b"}}, {"wandb": {"group": "x"}}, {"wandb": {"tags": ["x" * 65]}}):
        told = api.post("/api/training", {**values, "report_to": ["wandb"], "tracker_places": wrong})
        assert told.status_code == 400 and next(iter(told.json()["fields"])).startswith("tracker_places"), told.json()
    teams = {"report_to": ["mlflow"], "tracker_places": {"mlflow": {"entity": "lab"}}}
    assert "teams" in api.post("/api/training", {**values, **teams}).json()["detail"]
    Credential.objects.all().delete()
    with pytest.raises(Invalid, match="no account at wandb"):
        create_job(owner=alice, report_to=["wandb"], **values)
    told = api.get(f"/api/training/{job.pk}").json()["trackers"]
    assert [item["kind"] for item in told] == ["wandb", "mlflow"]
