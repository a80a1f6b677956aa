"""/v1/fine_tuning/jobs: our jobs, their words."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services.save_tracker import save_tracker
from datasets_app.models import Dataset
from finetune.core import storage
from finetune.openai import jobs as views
from models_app.models import LanguageModel
from tests.factories import make_dataset, make_event, make_job, make_version
from tests.loopback_trackers import KEY, Trackers
from training.models import TrainingJob

JOBS = "/v1/fine_tuning/jobs"


def created(client: APIClient, base: LanguageModel, dataset: Dataset, **values: Any) -> Any:
    return client.post(JOBS, {"model": f"model-{base.pk}", "training_file": f"file-{dataset.pk}", **values})


def test_a_job_begins_with_openais_numbers(bearer: APIClient, base: LanguageModel, dataset: Dataset) -> None:
    numbers = {"n_epochs": 2, "batch_size": 12, "learning_rate_multiplier": 0.5}
    method = {"type": "supervised", "supervised": {"hyperparameters": numbers}}
    told = created(bearer, base, dataset, suffix="my bot", seed=7, method=method)
    assert told.status_code == 200, told.data
    job = TrainingJob.objects.get()
    assert (job.name, job.method, job.status, job.config["seed"]) == ("my bot", "lora", "queued", 7)
    assert job.config["num_train_epochs"] == 2
    assert job.config["per_device_train_batch_size"] * job.config["gradient_accumulation_steps"] == 12
    assert told.data["hyperparameters"] == numbers
    assert told.data["method"]["supervised"]["hyperparameters"] == numbers
    assert (told.data["id"], told.data["status"], told.data["training_file"]) == (f"ftjob-{job.pk}", "queued", f"file-{dataset.pk}")


@pytest.mark.parametrize("ref", ["tiny", "lab/tiny-1"])
def test_a_base_may_be_named(bearer: APIClient, base: LanguageModel, dataset: Dataset, ref: str) -> None:
    body = {"model": ref, "training_file": f"file-{dataset.pk}", "hyperparameters": {"n_epochs": "auto", "lora_r": 4}}
    assert bearer.post(JOBS, body).data["model"] == f"model-{base.pk}"
    assert TrainingJob.objects.get().config["lora_r"] == 4


def test_dpo_learns_from_preferences(bearer: APIClient, alice: User, base: LanguageModel) -> None:
    pairs = make_dataset(alice, kind="preference", format="preference", splits={"train": 6, "validation": 2})
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    told = created(bearer, base, pairs, method=method)
    assert told.status_code == 200, told.data
    job = TrainingJob.objects.get()
    assert (job.method, job.config["beta"], job.eval_split) == ("dpo", 0.2, "validation")
    assert told.data["method"]["dpo"]["hyperparameters"]["beta"] == 0.2


BAD = {
    "model": ({"model": "gpt-9"}, "model"),
    "file": ({"training_file": "file-999"}, "training_file"),
    "method": ({"method": {"type": "reinforcement"}}, "method"),
    "shape of the method": ({"method": {"type": "supervised", "supervised": [1]}}, "method"),
    "epochs": ({"hyperparameters": {"n_epochs": -1}}, "num_train_epochs"),
    "batch": ({"hyperparameters": {"batch_size": 0.5}}, "batch_size"),
    "unknown number": ({"hyperparameters": {"magic": 1}}, "magic"),
    "validation file": ({"validation_file": "file-1"}, "validation_file"),
    "metadata": ({"metadata": {"team": "a"}}, "metadata"),
    "integration without an account": ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, "integrations"),
    "integration": ({"integrations": [{"type": "comet"}]}, "integrations"),
    "integration's shape": ({"integrations": [{"type": "wandb", "wandb": {"project": ["x"]}}]}, "integrations"),
    "integration's text": ({"integrations": [{"type": "wandb", "wandb": {"project": "x", "name": "a\0b"}}]}, "integrations"),
    "integration's tags": ({"integrations": [{"type": "wandb", "wandb": {"project": "x", "tags": [{}]}}]}, "integrations"),
    "integration's fields": ({"integrations": [{"type": "wandb", "wandb": {"project": "x", "group": "y"}}]}, "integrations"),
    "unknown": ({"magic": 1}, "magic"),
}


@pytest.mark.parametrize(("change", "param"), BAD.values(), ids=BAD.keys())
def test_what_cant_be_done_is_named(bearer: APIClient, base: LanguageModel, dataset: Dataset, change: dict, param: str) -> None:
    told = created(bearer, base, dataset, **change)
    assert (told.status_code, told.data["error"]["param"]) == (400, param), told.data
    assert param not in views.ELSEWHERE or told.data["error"]["message"].endswith(f"eave {param} out.")
    assert not TrainingJob.objects.exists()


def test_integrations_are_trackers_with_places_of_their_own(
    bearer: APIClient, alice: User, base: LanguageModel, dataset: Dataset, trackers: Trackers
) -> None:
    for kind in ("wandb", "mlflow"):
        save_tracker(user=alice, kind=kind, secret=KEY, url=trackers.url, username="ada", project="usual")
    place = {"project": "legs", "entity": "lab", "name": "first try", "tags": ["openai/finetune"]}
    given = [{"type": "mlflow", "mlflow": {"project": "legs"}}, {"type": "wandb", "wandb": place}]
    told = created(bearer, base, dataset, integrations=given)
    assert told.status_code == 200 and told.data["integrations"] == given, told.data
    assert created(bearer, base, dataset, integrations=[given[1], given[1]]).data["error"]["param"] == "integrations"
    slash = [{"type": "wandb", "wandb": {"project": "a/b"}}]
    assert "project: Letters" in created(bearer, base, dataset, integrations=slash).data["error"]["message"]
    assert TrainingJob.objects.get().tracker_places == {"wandb": place, "mlflow": {"project": "legs"}}


def test_a_file_being_read_is_waited_for(
    bearer: APIClient, alice: User, base: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = make_dataset(alice, status="validating")
    monkeypatch.setattr(views.time, "sleep", lambda _: Dataset.objects.filter(pk=reading.pk).update(status="ready"))
    assert created(bearer, base, reading).status_code == 200
    monkeypatch.setattr(views, "WAIT_FOR_FILE_SECONDS", 0)
    assert created(bearer, base, make_dataset(alice, status="validating")).data["error"]["code"] == "file_not_ready"


def test_strangers_find_nothing(charlie_api: APIClient, base: LanguageModel, dataset: Dataset, alice: User) -> None:
    job = make_job(alice, model=base, dataset=dataset, status="running")
    assert charlie_api.get(JOBS).data["data"] == []
    for path in ("", "/events", "/checkpoints"):
        assert charlie_api.get(f"{JOBS}/ftjob-{job.pk}{path}").status_code == 404
    assert charlie_api.post(f"{JOBS}/ftjob-{job.pk}/cancel").status_code == 404
    assert created(charlie_api, base, dataset).data["error"]["param"] == "model"
    job.refresh_from_db()
    assert job.status == "running"


def test_cancel_stops_it_once(bearer: APIClient, alice: User, base: LanguageModel) -> None:
    job = make_job(alice, model=base, status="queued")
    assert bearer.post(f"{JOBS}/ftjob-{job.pk}/cancel").data["status"] == "cancelled"
    done = make_job(alice, model=base, status="succeeded", output_model=make_version(alice, base=base))
    told = bearer.post(f"{JOBS}/ftjob-{done.pk}/cancel")
    assert (told.status_code, told.data["error"]["code"]) == (409, "job_succeeded")
    assert bearer.get(f"{JOBS}/ftjob-{done.pk}").data["fine_tuned_model"] == f"model-{done.output_model_id}"


def test_events_are_read_back_page_by_page(bearer: APIClient, alice: User, base: LanguageModel) -> None:
    job = make_job(alice, model=base, status="running", attempt=1)
    make_event(job, 1, "status", status="running", reason="A worker took it.")
    make_event(job, 2, split="train", step=1, values={"loss": 2.5})
    make_event(job, 3, split="eval", step=1, values={"loss": 2.75})
    make_event(job, 4, "memory", used=1)
    make_event(job, 5, "warning", message="Slow disk.")
    first = bearer.get(f"{JOBS}/ftjob-{job.pk}/events?limit=2").data
    assert [event["level"] for event in first["data"]] == ["warn", "info"]
    assert first["data"][1]["data"] == {"step": 1, "valid_loss": 2.75}
    rest = bearer.get(f"{JOBS}/ftjob-{job.pk}/events?limit=2&after={first['last_id']}").data
    assert [event["message"] for event in rest["data"]] == ["Step 1: train loss 2.5", "running: A worker took it."]
    assert not rest["has_more"]


def test_checkpoints_name_a_model_that_can_be_asked(bearer: APIClient, alice: User, base: LanguageModel) -> None:
    job = make_job(alice, model=base, status="running", attempt=1)
    (storage.attempt_dir(job.pk, 1) / "checkpoints/checkpoint-20").mkdir(parents=True)
    make_event(job, 1, "checkpoint", step=10, path="checkpoints/checkpoint-10", bytes=1, values={})
    make_event(job, 2, "checkpoint", step=20, path="checkpoints/checkpoint-20", bytes=1, values={"loss": 1.5})
    (kept,) = bearer.get(f"{JOBS}/ftjob-{job.pk}/checkpoints").data["data"]
    assert kept["fine_tuned_model_checkpoint"] == f"job-{job.pk}-step-20"
    assert kept["metrics"] == {"step": 20, "loss": 1.5}
    storage.remove_tree(storage.job_dir(job.pk))
