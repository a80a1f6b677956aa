"""Tokens, steps, time and memory of a job before it starts, and what to change when it doesn't fit."""

from __future__ import annotations

import dataclasses
from typing import Any

from accounts.models import User
from datasets_app.models import Dataset
from models_app.models import LanguageModel
from training import executors, money, prices
from training.choices import default_split, find_owned
from training.device_reports import worker_devices
from training.devices import Device
from training.engine.spec import Config
from training.estimates import Wanted
from training.estimator import Estimate, Estimator
from training.executors import Hardware
from training.refusals import refuse_unknown_choice, refuse_unusable
from training.spec_fields import checked_config
from training.spending import refuse_place


def estimate_job(
    *,
    owner: User,
    model_id: int | None,
    dataset_id: int | None,
    method: str,
    executor: str = "local",
    hardware: str = "",
    budget: Any = None,
    keep_remote: bool = False,
    train_split: str = "",
    eval_split: str = "",
    config: dict[str, Any] | None = None,
    report_to: Any = None,
    tracker_places: Any = None,
) -> Estimate:
    """The estimate for a job with these values, on the device of this machine that the engine would choose, or at a provider on this
    `hardware` with what it costs there. `budget`, `keep_remote`, `report_to` and `tracker_places` are taken, as a job's, and change nothing.

    Refuses, naming the field, what create_job refuses, and a model whose files don't tell its shape.
    """
    refuse_unknown_choice(method=method, executor=executor)
    wanted = wanted_run(owner, model_id, dataset_id, method, train_split, eval_split, config)
    if executors.load(executor).is_here:
        return Estimator(wanted, worker_devices()[0]).estimate()
    refuse_place(owner=owner, executor=executor, hardware=hardware, num_gpus=wanted.config.num_gpus)
    machine = prices.find_hardware(executor, hardware)
    assert machine
    found = Estimator(wanted, device_at(executor, machine), here=False).estimate()
    amounts = money.estimate(executor, machine.price_per_hour, dataclasses.asdict(found.duration_seconds))
    about = {"currency": money.CURRENCY, "price_as_of": machine.price_as_of}
    return dataclasses.replace(found, cost={**amounts, **about})


def wanted_run(
    owner: User,
    model_id: int | None,
    dataset_id: int | None,
    method: str,
    train_split: str,
    eval_split: str,
    config: dict[str, Any] | None,
) -> Wanted:
    """The run these values mean; refuses what create_job refuses of them."""
    model = find_owned(LanguageModel.objects.all(), owner, model_id, "model_id", "model")
    dataset = find_owned(Dataset.objects.all(), owner, dataset_id, "dataset_id", "dataset")
    train_split = train_split or default_split(dataset)
    refuse_unusable(method=method, model=model, dataset=dataset, train_split=train_split, eval_split=eval_split)
    return Wanted(model, dataset, method, Config(**checked_config(method, config or {})), train_split, eval_split)


def device_at(executor: str, machine: Hardware) -> Device:
    """A provider's machine as a device nobody else uses."""
    return Device(machine.id, machine.kind, machine.name, executor, machine.memory_bytes, 0, None)
