"""A tiny model really trains at each provider, and its losses are those of the local run, bit for bit."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from tests.engine.conftest import tiny_model, tokenizer  # noqa: F401  (fixtures)
from tests.factories import make_base_model, make_dataset, make_job
from tests.training.executors.conftest import REMOTE, store_modal_tokens, store_token
from training import supervisor
from training.engine import verify
from training.engine.spec import defaults_for
from training.models import TrainingJob
from training.services.claim_job import claim_job
from training.services.start_job import start_job

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def test_everywhere_the_same(alice: User, hub: Any, modal_server: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    store_token(alice)
    store_modal_tokens(alice)
    model = make_base_model(alice, path=str(tiny_model))
    dataset = make_dataset(alice, rows=12)
    told = {name: _train(alice, name, model, dataset) for name in ("local", *REMOTE)}
    losses, weights = zip(*told.values(), strict=True)
    assert len(losses[0]) == 4
    assert all(series == losses[0] for series in losses)
    assert len(set(weights)) == 1


def _train(owner: User, executor: str, model: Any, dataset: Any) -> tuple[list[tuple[int, float, float]], str]:
    config = defaults_for("lora") | {"max_steps": 4, "logging_steps": 1, "save_steps": 2, "eval_fraction": 0.2, "max_length": 64}
    hardware = {"local": "", "modal": "T4"}.get(executor, "cpu-basic")
    job = make_job(
        owner,
        model=model,
        dataset=dataset,
        executor=executor,
        hardware=hardware,
        train_split="train",
        config=config,
        name=f"at {executor}",
    )
    start_job(job=job)
    found = claim_job(executor=executor)
    assert found
    assert found[0].pk == job.pk
    supervisor.follow(*found, stop=threading.Event())
    job = TrainingJob.objects.get(pk=job.pk)
    assert job.status == "succeeded", job.error
    assert verify.find_problems(job.output_model.directory) == []
    points = [event.payload for event in job.events.filter(kind="metric", payload__split="train").order_by("seq")]
    return [(p["step"], p["values"]["loss"], p["values"].get("grad_norm")) for p in points], job.weights_sha256
