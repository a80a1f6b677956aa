"""The part of the Hub's door to Jobs: start one, find it by its label, look at it, read its log, cancel it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from finetune.core.errors import DomainError, Unavailable
from finetune.core.hub_runs import client

LABEL = "aift-run"
OVER = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
FIND_TRIES, FIND_SECONDS = 4, 1.0


@dataclass(frozen=True)
class HubJob:
    """A Job: `stage` is one of SCHEDULING RUNNING COMPLETED CANCELED ERROR DELETED, `run_key` our label on it."""

    id: str
    stage: str
    message: str
    run_key: str
    flavor: str
    running_seconds: float | None
    url: str

    @property
    def over(self) -> bool:
        return self.stage in OVER


def start_job(
    *, namespace: str, run_key: str, image: str, command: list[str], flavor: str, timeout_seconds: int, environment: dict[str, str],
    secrets: dict[str, str], volumes: list[dict[str, Any]], token: str,
) -> HubJob:  # fmt: skip
    """Start it, unless one with this label is there already. An answer that got lost is no failure: the Job is looked for."""
    from huggingface_hub import Volume

    if found := find_job(namespace, run_key, token=token):
        return found
    labels = {LABEL: run_key, "aift": "run"}
    try:
        with client(token) as api:
            made = api.run_job(
                image=image, command=command, env=environment, secrets=secrets, flavor=flavor, timeout=timeout_seconds, labels=labels,
                name=run_key, volumes=[Volume(**values) for values in volumes], namespace=namespace,
            )  # fmt: skip
            return _job(made)
    except Unavailable as error:
        for _ in range(FIND_TRIES):
            time.sleep(FIND_SECONDS)
            if found := _find_quietly(namespace, run_key, token):
                return found
        raise error


def find_job(namespace: str, run_key: str, *, token: str) -> HubJob | None:
    """The Job with this label, the newest of several."""
    with client(token) as api:
        found = [_job(item) for item in api.list_jobs(namespace=namespace, labels={LABEL: run_key}, timeout=30)]
    return found[0] if found else None


def list_jobs(namespace: str, *, token: str) -> list[HubJob]:
    """Every Job of ours that is not over."""
    with client(token) as api:
        found = [_job(item) for item in api.list_jobs(namespace=namespace, labels={"aift": "run"}, timeout=30)]
    return [job for job in found if not job.over]


def inspect_job(namespace: str, job_id: str, *, token: str) -> HubJob:
    with client(token) as api:
        return _job(api.inspect_job(job_id=job_id, namespace=namespace))


def cancel_job(namespace: str, job_id: str, *, token: str) -> None:
    """Stop it now; one that is over stays as it is."""
    with client(token) as api:
        api.cancel_job(job_id=job_id, namespace=namespace)


def follow_log(namespace: str, job_id: str, *, token: str) -> Iterator[str]:
    """Its output from the beginning, line by line, until it is over."""
    with client(token) as api, closing(api.fetch_job_logs(job_id=job_id, namespace=namespace, follow=True)) as lines:
        yield from lines


def follow_metrics(namespace: str, job_id: str, *, token: str) -> Iterator[dict[str, Any]]:
    """What its machine does, about once a second, until it is over: {cpu_usage_pct, memory_used_bytes, memory_total_bytes,
    gpus: {id: {utilization (percent), memory_used_bytes, memory_total_bytes}}}."""
    with client(token) as api, closing(api.fetch_job_metrics(job_id=job_id, namespace=namespace, follow=True)) as samples:
        yield from samples


def _find_quietly(namespace: str, run_key: str, token: str) -> HubJob | None:
    try:
        return find_job(namespace, run_key, token=token)
    except DomainError:
        return None


def _job(item: Any) -> HubJob:
    seconds = item.durations.running_secs if item.durations else None
    stage = item.status.stage.value if hasattr(item.status.stage, "value") else str(item.status.stage)
    key = (item.labels or {}).get(LABEL, "")
    return HubJob(item.id, stage, item.status.message or "", key, str(item.flavor or ""), seconds, item.url)
