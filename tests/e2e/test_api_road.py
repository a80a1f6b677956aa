"""The road for a script that knows nothing but the contract: HTTP and one WebSocket that breaks twice."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import httpx
import pytest
import websockets

from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

QUESTIONS = [
    {"question": f"How many legs have {count} {animal}?", "answer": f"They have {count * legs} legs."}
    for count in range(1, 11)
    for animal, legs in (("dogs", 4), ("birds", 2), ("ants", 6), ("spiders", 8))
]


@pytest.fixture(scope="module")
def client(stack: Stack) -> httpx.Client:
    """A person with a bearer token."""
    name = f"script-{uuid.uuid4().hex[:8]}"
    body = {"username": name, "email": f"{name}@example.org", "password": "correct horse battery"}
    answer = httpx.post(f"{stack.url}/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {answer.json()['access']}"}, timeout=90)


def wait_until(client: httpx.Client, path: str, states: set[str], seconds: float = 120) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = client.get(path).json()
        if answer["status"] in states:
            return answer
        time.sleep(0.3)
    raise AssertionError(f"{path} is {answer['status']} after {seconds} s: {answer}")


@pytest.fixture(scope="module")
def model(client: httpx.Client) -> int:
    """The sample model, made once."""
    answer = client.post("/api/training/sample")
    assert answer.status_code == 202, answer.text
    made = answer.json()["model_id"]
    wait_until(client, f"/api/models/{made}", {"ready"})
    return made


def step_of(client: httpx.Client, job: str) -> int:
    return client.get(job).json()["progress"].get("step") or 0


def upload(client: httpx.Client, rows: list[dict]) -> int:
    content = "".join(json.dumps(row) + "\n" for row in rows)
    mapping = json.dumps({"prompt": "question", "completion": "answer"})
    answer = client.post("/api/datasets/upload", files={"file": ("legs.jsonl", content)}, data={"mapping": mapping})
    assert answer.status_code == 201, answer.text
    dataset = wait_until(client, f"/api/datasets/{answer.json()['id']}", {"ready", "invalid"})
    assert (dataset["status"], dataset["rows"], dataset["format"]) == ("ready", len(rows), "prompt_completion")
    return dataset["id"]


async def follow(stack: Stack, token: str, job: int, breaks: int) -> list[dict]:
    """Every event of the job, read through a socket that is dropped `breaks` times and comes back with ?after=."""
    events: list[dict] = []
    after = 0
    while True:
        url = f"{stack.ws}/ws/training/{job}?after={after}"
        async with websockets.connect(url, subprotocols=["bearer", token]) as socket:
            hello = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert hello["type"] == "hello"
            status = hello["job"]["status"]
            received = 0
            while True:
                if status in {"succeeded", "failed", "cancelled"} and after >= (await last_seq(stack, token, job)):
                    return events
                message = json.loads(await asyncio.wait_for(socket.recv(), 120))
                if message["type"] == "events":
                    events += message["events"]
                    after = message["last_seq"]
                    received += 1
                elif message["type"] == "status":
                    status = message["job"]["status"]
                if breaks and received >= 3:
                    breaks -= 1
                    break


async def last_seq(stack: Stack, token: str, job: int) -> int:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        return (await client.get(f"{stack.url}/api/training/{job}/metrics")).json()["last_seq"]


def test_the_whole_road(stack: Stack, client: httpx.Client, model: int) -> None:
    dataset = upload(client, QUESTIONS)
    body = {
        "name": "legs",
        "model_id": model,
        "dataset_id": dataset,
        "method": "lora",
        "config": {"max_steps": 30, "logging_steps": 1, "max_length": 128, "eval_steps": 10, "save_steps": 15},
        "start": True,
    }
    answer = client.post("/api/training", json=body)
    assert answer.status_code == 201, answer.text
    job = answer.json()["id"]

    token = client.headers["Authorization"].split()[1]
    events = asyncio.run(follow(stack, token, job, breaks=2))

    finished = wait_until(client, f"/api/training/{job}", {"succeeded", "failed", "cancelled"})
    assert finished["status"] == "succeeded", finished["error"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), "every event once, in order"
    steps = [event["step"] for event in events if event["kind"] == "metric" and event["split"] == "train"]
    assert steps == list(range(1, 31))
    points = client.get(f"/api/training/{job}/metrics", params={"after": 0}).json()["points"]
    assert [point["step"] for point in points if point["split"] == "train"] == steps

    tuned = finished["output_model_id"]
    answer = client.post(
        f"/api/models/{tuned}/test", json={"prompt": QUESTIONS[0]["question"], "max_new_tokens": 12, "compare_with": [model]}
    )
    assert answer.status_code == 200, answer.text
    outputs = answer.json()["outputs"]
    assert [output["model_id"] for output in outputs] == [tuned, model]
    assert all(output["tokens"] > 0 for output in outputs)


def test_of_two_jobs_one_waits_its_turn(client: httpx.Client, model: int) -> None:
    dataset = upload(client, QUESTIONS)
    config = {"max_steps": 8, "max_length": 128, "eval_fraction": 0}
    jobs = []
    for name in ("first", "second"):
        body = {"name": name, "model_id": model, "dataset_id": dataset, "method": "lora", "config": config, "start": True}
        jobs.append(client.post("/api/training", json=body).json()["id"])
    first, second = (f"/api/training/{job}" for job in jobs)
    wait_until(client, first, {"running"})
    waiting = client.get(second).json()
    assert (waiting["status"], waiting["queue_position"]) == ("queued", 1)
    wait_until(client, second, {"succeeded"})
    ended, began = client.get(first).json()["finished_at"], client.get(second).json()["started_at"]
    assert client.get(first).json()["status"] == "succeeded"
    assert began >= ended


def test_a_cancelled_job_keeps_its_checkpoint_and_can_go_on(client: httpx.Client, model: int) -> None:
    dataset = upload(client, QUESTIONS)
    config = {"max_steps": 400, "max_length": 128, "eval_fraction": 0}
    body = {"name": "stopped", "model_id": model, "dataset_id": dataset, "method": "lora", "config": config, "start": True}
    job = f"/api/training/{client.post('/api/training', json=body).json()['id']}"
    deadline = time.monotonic() + 90
    while step_of(client, job) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert client.post(f"{job}/cancel").status_code == 202
    stopped = wait_until(client, job, {"cancelled"})
    assert client.get(f"{job}/checkpoints").json()
    assert client.post(f"{job}/cancel").status_code in {202, 409}
    answer = client.post(f"{job}/resume")
    assert answer.status_code == 202, answer.text
    wait_until(client, job, {"running"})
    while step_of(client, job) <= stopped["progress"]["step"]:
        assert time.monotonic() < deadline + 120
        time.sleep(0.2)
    client.post(f"{job}/cancel")
    wait_until(client, job, {"cancelled"})
    points = client.get(f"{job}/metrics").json()["points"]
    steps = [point["step"] for point in points if point["split"] == "train"]
    assert steps == list(range(1, len(steps) + 1)), "no step is missing or doubled after the resume"


def test_preferences_are_learned_and_their_adapter_answers(client: httpx.Client, model: int) -> None:
    rows = [{"prompt": row["question"], "chosen": row["answer"], "rejected": "I do not know."} for row in QUESTIONS]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    uploaded = client.post("/api/datasets/upload", files={"file": ("pairs.jsonl", content)})
    dataset = wait_until(client, f"/api/datasets/{uploaded.json()['id']}", {"ready", "invalid"})
    assert (dataset["status"], dataset["kind"]) == ("ready", "preference")
    config = {"max_steps": 10, "max_length": 128, "learning_rate": 1e-3, "eval_steps": 5, "adapter": "qlora"}
    body = {"name": "kinder", "model_id": model, "dataset_id": dataset["id"], "method": "dpo", "config": config, "start": True}
    answer = client.post("/api/training", json=body)
    assert answer.status_code == 201, answer.text
    job = wait_until(client, f"/api/training/{answer.json()['id']}", {"succeeded", "failed", "cancelled"})
    assert job["status"] == "succeeded", job["error"]
    points = client.get(f"/api/training/{job['id']}/metrics").json()["points"]
    margins = [point["values"]["eval_rewards/margins"] for point in points if point["split"] == "eval"]
    assert len(margins) == 3 and margins[-1] > margins[0]
    tried = client.post(f"/api/models/{job['output_model_id']}/test", json={"prompt": rows[0]["prompt"], "max_new_tokens": 8})
    assert tried.status_code == 200 and tried.json()["outputs"][0]["tokens"] > 0, tried.text
