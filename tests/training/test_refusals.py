"""More devices than there are are refused before anything is queued."""

from __future__ import annotations

import pytest

from accounts.models import User
from finetune.core.errors import Invalid
from tests.factories import make_job
from training.models import TrainingJob
from training.refusals import refuse_devices
from training.services.start_job import start_job

pytestmark = pytest.mark.django_db


def test_one_device_is_never_counted(settings, monkeypatch) -> None:
    monkeypatch.setattr("training.refusals.list_devices", lambda: pytest.fail("asked the driver"))
    refuse_devices(executor="local", config={"num_gpus": 1})
    refuse_devices(executor="local", config={})


@pytest.mark.parametrize(
    ("gpus", "config", "field", "words"),
    [
        (1, {"num_gpus": 2}, "num_gpus", "This machine has 1 GPU; 2"),
        (0, {"num_gpus": 2}, "num_gpus", "This machine has 0 GPUs; 2"),
        (4, {"num_gpus": 2, "distributed": "deepspeed"}, "distributed", "not installed"),
    ],
)
def test_what_the_machine_lacks_is_named(settings, monkeypatch, gpus, config, field, words) -> None:
    settings.TRAINING_GPUS = gpus
    monkeypatch.setattr("training.refusals.importlib.util.find_spec", lambda name: None)
    with pytest.raises(Invalid) as refused:
        refuse_devices(executor="local", config=config)
    assert words in refused.value.fields[field][0]


def test_processors_stand_in_for_gpus_only_when_told_to_and_only_for_ddp(settings, monkeypatch) -> None:
    monkeypatch.setattr("training.refusals.list_devices", list)
    monkeypatch.setenv("AIFT_CPU_PROCESSES", "2")
    refuse_devices(executor="local", config={"num_gpus": 2})
    with pytest.raises(Invalid) as refused:
        refuse_devices(executor="local", config={"num_gpus": 2, "distributed": "fsdp"})
    assert "GPUs only" in refused.value.fields["distributed"][0]


def test_a_draft_for_more_gpus_is_not_started(alice: User, settings) -> None:
    settings.TRAINING_GPUS = 1
    job = make_job(alice, config={"num_gpus": 8}, train_split="train")
    with pytest.raises(Invalid):
        start_job(job=job)
    job.refresh_from_db()
    assert job.status == TrainingJob.Status.DRAFT and not job.events.exists()
