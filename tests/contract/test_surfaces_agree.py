"""A button and its endpoint are one verb: the same state is refused by both, in the same words, and nothing happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_dataset, make_job
from training.models import TrainingJob


@dataclass(frozen=True)
class Refusal:
    """One thing both surfaces must refuse."""

    page: str
    api: str
    method: str
    make: Callable[[User], Any]
    status: int = 409


def finished(alice: User) -> TrainingJob:
    return make_job(alice, status="succeeded", attempt=1)


def running(alice: User) -> TrainingJob:
    return make_job(alice, status="running", attempt=1)


def dataset_in_use(alice: User) -> Dataset:
    return make_job(alice, status="queued").dataset


def model_in_use(alice: User) -> LanguageModel:
    return make_job(alice, status="queued").model


def failed(alice: User) -> TrainingJob:
    return make_job(alice, status="failed", attempt=1)


REFUSALS = {
    "cancel a finished job": Refusal("/training/{}/cancel", "/api/training/{}/cancel", "post", finished),
    "start a finished job": Refusal("/training/{}/start", "/api/training/{}/start", "post", finished),
    "resume a succeeded job": Refusal("/training/{}/resume", "/api/training/{}/resume", "post", finished),
    "reproduce a failed job": Refusal("/training/{}/reproduce", "/api/training/{}/reproduce", "post", failed),
    "reproduce a running job": Refusal("/training/{}/reproduce", "/api/training/{}/reproduce", "post", running),
    "delete a running job": Refusal("/training/{}/delete", "/api/training/{}", "delete", running),
    "delete a dataset in use": Refusal("/datasets/{}/delete", "/api/datasets/{}", "delete", dataset_in_use),
    "cancel a download that is none": Refusal(
        "/models/{}/cancel-download", "/api/models/{}/cancel-download", "post", make_base_model
    ),
    "delete a model in use": Refusal("/models/{}/delete", "/api/models/{}", "delete", model_in_use),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
def test_both_surfaces_refuse_alike(case: Refusal, alice: User, page: Client, api: APIClient) -> None:
    thing = case.make(alice)
    before = type(thing).objects.filter(pk=thing.pk).values().get()
    told = getattr(api, case.method)(case.api.format(thing.pk))
    assert told.status_code == case.status, told.data
    shown = page.post(case.page.format(thing.pk), headers={"HX-Request": "true"})
    assert shown.status_code == case.status
    assert told.data["detail"] in shown.content.decode().replace("&#x27;", "'").replace("&quot;", '"')
    assert type(thing).objects.filter(pk=thing.pk).values().get() == before


BAD_JOBS = {
    "learning rate of -1": ({"learning_rate": -1}, "learning_rate"),
    "no epochs": ({"num_train_epochs": 0}, "num_train_epochs"),
    "unknown scheduler": ({"lr_scheduler_type": "stairs"}, "lr_scheduler_type"),
    "half a batch": ({"per_device_train_batch_size": 0.5}, "per_device_train_batch_size"),
}


@pytest.mark.parametrize(("config", "field"), BAD_JOBS.values(), ids=BAD_JOBS.keys())
def test_both_surfaces_name_the_same_bad_field(config: dict, field: str, alice: User, page: Client, api: APIClient) -> None:
    model, dataset = make_base_model(alice), make_dataset(alice)
    body = {"name": "run", "model_id": model.pk, "dataset_id": dataset.pk, "method": "lora"}
    told = api.post("/api/training", {**body, "config": config})
    assert told.status_code == 400
    assert field in told.data["fields"], told.data
    form = {"name": "run", "model_id": model.pk, "dataset_id": dataset.pk, "method": "lora", "executor": "local", **config}
    shown = page.post("/training/new", form)
    assert shown.status_code in {400, 422}
    assert shown.context["form"].errors.get(field) == told.data["fields"][field]
    assert TrainingJob.objects.count() == 0
