"""The official `openai` client against the real product: only `base_url` and the key differ from a script for OpenAI."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.conftest import Stack
from tests.loopback_trackers import KEY, Trackers

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ROWS = [
    {"messages": [{"role": "user", "content": f"What is {a} and {b}?"}, {"role": "assistant", "content": f"It is {a + b}."}]}
    for a in range(5)
    for b in range(6)
]


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    """A new person's access token."""
    name = f"openai-{uuid.uuid4().hex[:8]}"
    body = {"username": name, "email": f"{name}@example.org", "password": "correct horse battery"}
    return httpx.post(f"{stack.url}/api/auth/register", json=body).json()["access"]


@pytest.fixture(scope="module")
def client(stack: Stack, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stack.url}/v1", api_key=key, timeout=90, max_retries=0)


@pytest.fixture(scope="module")
def base(stack: Stack, client: openai.OpenAI, key: str) -> str:
    """The sample model's id; making it is not OpenAI's API."""
    httpx.post(f"{stack.url}/api/training/sample", headers={"Authorization": f"Bearer {key}"}).raise_for_status()
    deadline = time.monotonic() + 60
    while not (found := list(client.models.list())):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return found[0].id


def test_from_a_file_to_a_conversation(client: openai.OpenAI, base: str, tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with open(path, "rb") as rows:
        file = client.files.create(file=rows, purpose="fine-tune")
    assert client.files.content(file.id).read() == path.read_bytes()

    numbers = {"n_epochs": 2, "batch_size": 6}
    method = {"type": "supervised", "supervised": {"hyperparameters": numbers}}
    job = client.fine_tuning.jobs.create(model=base, training_file=file.id, suffix="sums", seed=5, method=method)  # type: ignore[arg-type]
    assert job.status in {"queued", "running"}
    deadline = time.monotonic() + 120
    while (job := client.fine_tuning.jobs.retrieve(job.id)).status not in {"succeeded", "failed", "cancelled"}:
        assert time.monotonic() < deadline, job
        time.sleep(0.5)
    assert job.status == "succeeded", job.error
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size, job.seed) == (2, 6, 5)
    assert client.files.retrieve(file.id).status == "processed"
    assert job.trained_tokens and job.trained_tokens > 100

    events = list(client.fine_tuning.jobs.list_events(job.id, limit=7))
    assert len(events) > 7, "the client read on by itself"
    assert len({event.id for event in events}) == len(events)
    losses = [event.data["train_loss"] for event in events if event.type == "metrics" and "train_loss" in event.data]
    assert losses and losses[0] < losses[-1], "newest first, and it fell"
    kept = list(client.fine_tuning.jobs.checkpoints.list(job.id, limit=1))
    assert [row.step_number for row in kept] == sorted((row.step_number for row in kept), reverse=True)
    checkpoint = kept[0]

    assert job.fine_tuned_model in [model.id for model in client.models.list()]
    messages = [{"role": "user", "content": "What is 2 and 3?"}]
    settings = {"messages": messages, "temperature": 0, "max_tokens": 12}
    whole = client.chat.completions.create(model=job.fine_tuned_model, **settings)  # type: ignore[call-overload]
    text = whole.choices[0].message.content
    assert text and whole.choices[0].finish_reason in {"stop", "length"}
    assert whole.usage.prompt_tokens > 5 and whole.usage.completion_tokens <= 12
    counted = {"stream": True, "stream_options": {"include_usage": True}}
    parts = list(client.chat.completions.create(model=job.fine_tuned_model, **counted, **settings))  # type: ignore[call-overload]
    assert "".join(part.choices[0].delta.content or "" for part in parts[:-1]) == text
    assert parts[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert parts[-1].usage == whole.usage
    if len(text) > 3:
        stopped = client.chat.completions.create(model=job.fine_tuned_model, stop=[text[2:4]], **settings)  # type: ignore[call-overload]
        assert stopped.choices[0].message.content == text[: text.index(text[2:4])]
    for other in (base, checkpoint.fine_tuned_model_checkpoint):
        assert client.chat.completions.create(model=other, **settings).choices[0].message.content is not None  # type: ignore[call-overload]

    with pytest.raises(openai.ConflictError, match="Delete them first"):
        client.files.delete(file.id)
    assert client.models.delete(job.fine_tuned_model).deleted


def test_curves_go_where_integrations_say(
    stack: Stack, client: openai.OpenAI, base: str, key: str, loopback_trackers: Trackers
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    file = client.files.create(file=("sums.jsonl", content), purpose="fine-tune")
    wanted = [{"type": "wandb", "wandb": {"project": "legs", "name": "sums", "tags": ["mine"]}}]
    told = {"model": base, "training_file": file.id, "hyperparameters": {"n_epochs": 1}, "integrations": wanted}
    with pytest.raises(openai.BadRequestError, match="no account at wandb") as refused:
        client.fine_tuning.jobs.create(**told)  # type: ignore[arg-type]
    assert refused.value.param == "integrations"
    account = {"secret": KEY, "url": loopback_trackers.url}
    saved = httpx.post(f"{stack.url}/api/auth/trackers/wandb", json=account, headers={"Authorization": f"Bearer {key}"})
    assert saved.status_code == 200, saved.text
    job = client.fine_tuning.jobs.create(**told)  # type: ignore[arg-type]
    (known,) = client.fine_tuning.jobs.retrieve(job.id).integrations or []
    assert (known.type, known.wandb.project, known.wandb.tags) == ("wandb", "legs", ["mine"])
    deadline = time.monotonic() + 120
    while not any(run["complete"] == 0 for run in loopback_trackers.wandb.values()):
        assert time.monotonic() < deadline, loopback_trackers.wandb
        time.sleep(0.5)
    ((path, run),) = loopback_trackers.wandb.items()
    assert path.startswith("ada/legs/") and (run["title"], run["tags"]) == ("sums", ["mine"])
    assert any("train/loss" in line for line in run["history"])


def test_a_job_is_cancelled(client: openai.OpenAI, base: str) -> None:
    content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    file = client.files.create(file=("sums.jsonl", content), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model=base, training_file=file.id, hyperparameters={"n_epochs": 50})
    assert job.id in [listed.id for listed in client.fine_tuning.jobs.list()]
    assert client.fine_tuning.jobs.cancel(job.id).status in {"cancelled", "running"}


def test_its_errors_are_the_clients_own(stack: Stack, client: openai.OpenAI, base: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-999999")
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=base, messages=[{"role": "user", "content": "x"}], n=2)
    assert refused.value.param == "n"
    for name, value in {
        "validation_file": "file-1",
        "metadata": {"a": "b"},
    }.items():
        with pytest.raises(openai.BadRequestError, match=f"eave {name} out"):
            client.fine_tuning.jobs.create(model=base, training_file="file-1", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.pause("ftjob-1")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{stack.url}/v1", api_key="sk-wrong", max_retries=0).models.list()
