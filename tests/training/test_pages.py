"""The list and the job page; the API's list."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import storage
from tests.factories import make_base_model, make_dataset, make_event, make_job
from training.models import TrainingJob


@pytest.fixture
def jobs(alice: User) -> list[TrainingJob]:
    model, dataset = make_base_model(alice), make_dataset(alice)
    now = timezone.now()
    make = {"model": model, "dataset": dataset, "train_split": "train"}
    return [
        make_job(alice, name="running one", status="running", attempt=1, **make),
        make_job(alice, name="first in line", status="queued", queued_at=now, **make),
        make_job(
            alice, name="second in line", status="queued", queued_at=now + timezone.timedelta(seconds=1), method="sft", **make
        ),
        make_job(alice, name="a draft", **make),
    ]


def test_the_list_shows_everything_with_its_place_in_the_queue(page: Client, jobs: list[TrainingJob]) -> None:
    html = page.get("/training/").content.decode()
    for job in jobs:
        assert job.name in html
    assert "next in the queue" in html
    assert "number 2 in the queue" in html
    assert 'hx-trigger="every 2s"' in html


def test_the_list_filters_searches_and_sends_fragments(page: Client, jobs: list[TrainingJob]) -> None:
    html = page.get("/training/?status=queued&method=sft").content.decode()
    assert "second in line" in html
    assert "first in line" not in html
    found = page.get("/training/?search=draft", headers={"HX-Request": "true"}).content.decode()
    assert "a draft" in found
    assert "<html" not in found
    assert "running one" not in found
    assert page.get("/training/?status=nonsense&page=99").status_code == 200


def test_an_empty_list_says_what_to_do(page: Client) -> None:
    assert "Start the first training" in page.get("/training/").content.decode()


def test_strangers_see_none_of_it(
    charlie_page: Client, charlie_api: APIClient, anonymous_page: Client, jobs: list[TrainingJob]
) -> None:
    assert "running one" not in charlie_page.get("/training/").content.decode()
    assert charlie_api.get("/api/training").json()["count"] == 0
    for job in jobs:
        assert charlie_page.get(f"/training/{job.pk}").status_code == 404
        assert charlie_api.get(f"/api/training/{job.pk}").status_code == 404
    assert anonymous_page.get("/training/").status_code == 302


@pytest.mark.parametrize("status", [str(status) for status in TrainingJob.Status])
def test_the_job_page_renders_in_every_state(page: Client, alice: User, status: str) -> None:
    error = {"code": "nan_loss", "message": "It broke.", "hint": "Mend it.", "log_tail": "the end"} if status == "failed" else None
    job = make_job(
        alice, status=status, error=error, queued_at=timezone.now(), progress={"step": 3, "total_steps": 9, "fraction": 1 / 3}
    )
    answer = page.get(f"/training/{job.pk}")
    assert answer.status_code == 200
    assert job.name in answer.content.decode()
    head = page.get(f"/training/{job.pk}", headers={"HX-Request": "true", "HX-Target": "job-head"}).content.decode()
    assert "<html" not in head
    assert job.name in head
    if error:
        assert "It broke." in head
        assert "Mend it." in head


def test_the_api_list_filters_searches_and_orders(api: APIClient, jobs: list[TrainingJob]) -> None:
    def names(query: str) -> list[str]:
        return [job["name"] for job in api.get(f"/api/training?{query}").json()["results"]]

    assert names("status=queued&ordering=name") == ["first in line", "second in line"]
    assert names("status=queued,running&ordering=-name") == ["second in line", "running one", "first in line"]
    assert names("method=sft") == ["second in line"]
    assert names(f"model_id={jobs[0].model_id}&search=draft") == ["a draft"]
    assert names("dataset_id=999") == []
    places = {job["name"]: job["queue_position"] for job in api.get("/api/training").json()["results"]}
    assert places == {"running one": None, "first in line": 1, "second in line": 2, "a draft": None}


@pytest.mark.parametrize("query", ["status=nonsense", "method=magic", "executor=moon", "model_id=x", "dataset_id=-1"])
def test_a_filter_that_cannot_be_is_named(api: APIClient, jobs: list[TrainingJob], query: str) -> None:
    answer = api.get(f"/api/training?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["fields"]


def test_the_status_is_the_moving_part(api: APIClient, jobs: list[TrainingJob]) -> None:
    status = api.get(f"/api/training/{jobs[1].pk}/status").json()
    assert (status["status"], status["queue_position"]) == ("queued", 1)
    assert set(status["progress"]) == {
        "step", "total_steps", "epoch", "fraction", "elapsed_seconds", "eta_seconds", "tokens_per_second", "samples_per_second",
    }  # fmt: skip


def test_the_log_of_all_attempts(api: APIClient, alice: User) -> None:
    job = make_job(alice, status="failed", attempt=2)
    for attempt in (1, 2):
        directory = storage.attempt_dir(job.pk, attempt)
        directory.mkdir(parents=True)
        (directory / "engine.log").write_text(f"line a{attempt}\nline b{attempt} é\n")
    answer = api.get(f"/api/training/{job.pk}/logs")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode() == "=== attempt 1 ===\nline a1\nline b1 é\n=== attempt 2 ===\nline a2\nline b2 é\n"
    assert api.get(f"/api/training/{job.pk}/logs?tail=1").content.decode() == "line b2 é\n"
    files = api.get(f"/api/training/{job.pk}/files").json()
    assert [file["path"] for file in files] == ["1/engine.log", "2/engine.log"]


def test_checkpoints_say_whether_they_are_still_there(api: APIClient, alice: User) -> None:
    job = make_job(alice, status="cancelled", attempt=1)
    make_event(job, 1, "checkpoint", step=10, path="checkpoints/checkpoint-10", bytes=5, values={"loss": 1.0})
    make_event(job, 2, "checkpoint", step=20, path="checkpoints/checkpoint-20", bytes=6, values={})
    (storage.attempt_dir(job.pk, 1) / "checkpoints/checkpoint-20").mkdir(parents=True)
    found = api.get(f"/api/training/{job.pk}/checkpoints").json()
    assert [(item["step"], item["kept"]) for item in found] == [(20, True), (10, False)]


def test_the_command_runs_the_same_spec(api: APIClient, alice: User) -> None:
    from training.engine.spec import from_dict

    job = make_job(alice)
    told = api.get(f"/api/training/{job.pk}/command").json()
    assert told["command"] == f"python -m training.engine run runs/job-{job.pk}"
    spec = from_dict(told["spec"])
    assert (spec.method, spec.data.train, spec.model.path) == ("lora", str(job.dataset.rows_file), str(job.model.directory))
    assert spec.config.learning_rate == job.config["learning_rate"]


def test_the_catalogue(api: APIClient, anonymous_api: APIClient) -> None:
    methods = api.get("/api/training/methods").json()
    assert [method["id"] for method in methods] == ["lora", "qlora", "sft", "dpo", "orpo", "kto", "pretrain"]
    option = next(item for item in methods[2]["options"] if item["name"] == "learning_rate")
    assert (option["default"], option["above"], option["max"], option["type"]) == (2e-5, 0, 1, "number")
    assert option["help"]
    executors = api.get("/api/training/executors").json()
    assert (executors[0]["id"], executors[0]["usable"]) == ("local", True)
    devices = api.get("/api/training/devices").json()
    assert devices[-1]["kind"] == "cpu"
    assert devices[-1]["memory_bytes"] > devices[-1]["memory_used_bytes"] > 0
    assert executors[0]["hardware"][-1]["memory_bytes"] == devices[-1]["memory_bytes"]
    assert anonymous_api.get("/api/training/methods").status_code == 401


def test_operators_find_jobs_in_the_admin(olivia: User, jobs: list[TrainingJob]) -> None:
    client = Client()
    client.force_login(olivia)
    assert "first in line" in client.get("/admin/training/trainingjob/").content.decode()
    assert client.get(f"/admin/training/trainingjob/{jobs[0].pk}/change/").status_code == 200
    make_event(jobs[0], 1)
    assert client.get("/admin/training/jobevent/").status_code == 200
    chosen = {"action": "cancel_selected", "_selected_action": [jobs[1].pk, jobs[3].pk]}
    answer = client.post("/admin/training/trainingjob/", chosen, follow=True)
    jobs[1].refresh_from_db()
    jobs[3].refresh_from_db()
    assert (jobs[1].status, jobs[3].status) == ("cancelled", "draft")
    assert "A draft: This job has not been started" in answer.content.decode()
