"""Going back to a named checkpoint: the run continues from there and the curve has every step once, as it was learned last."""

from __future__ import annotations

import shutil

from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import storage
from tests.factories import make_job
from tests.training.conftest import steps_of
from training.models import TrainingJob
from training.services.read_metrics import read_metrics
from training.services.resume_job import resume_job


def losses(job: TrainingJob) -> dict[int, float]:
    points = read_metrics(job=job).points
    return {point["step"]: point["values"]["loss"] for point in points if point["split"] == "train"}


def evaluations(job: TrainingJob) -> list[int]:
    return [point["step"] for point in read_metrics(job=job).points if point["split"] == "eval"]


def test_the_chosen_checkpoint_is_continued_from(queued: TrainingJob, scripted, take_turn, api: APIClient) -> None:
    scripted.scripts = {
        1: {"total": 20, "save_every": 4, "eval_every": 5, "fail_at": 14},
        2: {"total": 20, "loss": 2, "save_every": 4, "eval_every": 5, "kill_at": 11},
        3: {"total": 20, "loss": 2, "save_every": 4, "eval_every": 5},
    }
    job = take_turn()
    assert job.status == "failed"
    answer = api.post(f"/api/training/{job.pk}/resume", {"checkpoint": 8})
    assert answer.status_code == 202
    job = take_turn()
    assert (job.status, job.attempt) == ("queued", 2)  # killed: it goes on from the newest checkpoint of what was learned anew
    assert steps_of(job) == [*range(1, 14), 9, 10, 11]
    job = take_turn()
    assert (job.status, job.attempt) == ("succeeded", 3)
    assert steps_of(job) == [*range(1, 14), *range(9, 21)]
    curve = losses(job)
    assert list(curve) == list(range(1, 21))
    assert [curve[8], curve[9], curve[20]] == [1 / 8, 2 / 9, 2 / 20]
    assert evaluations(job) == [5, 10, 15, 20, 20]


def test_two_rewinds_leave_the_newest_line(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.scripts = {
        1: {"total": 20, "save_every": 4, "fail_at": 18},
        2: {"total": 20, "loss": 2, "save_every": 4, "fail_at": 15},
        3: {"total": 20, "loss": 3, "save_every": 4},
    }
    resume_job(job=take_turn(), checkpoint=12)
    resume_job(job=take_turn(), checkpoint=8)
    job = take_turn()
    assert job.status == "succeeded"
    curve = losses(job)
    assert list(curve) == list(range(1, 21))
    assert [curve[8] * 8, curve[9] * 9, curve[13] * 13] == [1, 3, 3]


def test_a_damaged_checkpoint_fails_in_words(queued: TrainingJob, scripted, take_turn) -> None:
    scripted.script = {"total": 20, "save_every": 4, "fail_at": 14}
    job = take_turn()
    (job.run_dir / "checkpoints/checkpoint-8/weights").write_text("torn")
    resume_job(job=job, checkpoint=8)
    job = take_turn()
    assert job.status == "failed"
    assert "checkpoint-8 is damaged" in job.error["message"]


def test_a_checkpoint_that_is_gone_is_named_and_nothing_happens(api: APIClient, alice: User) -> None:
    job = make_job(alice, status="failed", attempt=1, train_split="train")
    directory = storage.attempt_dir(job.pk, 1) / "checkpoints/checkpoint-4"
    directory.mkdir(parents=True)
    for step in (4, 5, 0):
        answer = api.post(f"/api/training/{job.pk}/resume", {"checkpoint": step})
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["checkpoint"])
    shutil.rmtree(directory)
    job.refresh_from_db()
    assert (job.status, job.rewinds, job.events.count()) == ("failed", [], 0)
