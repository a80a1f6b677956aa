"""The part of the Hub's door to Docker Spaces: make one, look at it, ask what runs in it, pause it.

A Space's own web server is asked over HTTP through the Hub's proxy, which lets only the owner's token in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from finetune.core.errors import Forbidden, Unavailable
from finetune.core.hub_runs import Files, client, commit_files

ASK_SECONDS = 15.0
STARTING = ("BUILDING", "RUNNING_BUILDING", "APP_STARTING", "RUNNING_APP_STARTING", "NO_APP_FILE")
BROKEN = ("BUILD_ERROR", "CONFIG_ERROR")
OVER = (*BROKEN, "RUNTIME_ERROR", "PAUSED", "STOPPED", "DELETING")


@dataclass(frozen=True)
class HubSpace:
    """A Space: `stage` as the Hub names it, `host` where its web server answers, `hardware` what it runs on or will,
    `created` when it was made (seconds of the epoch)."""

    repo_id: str
    stage: str
    host: str
    hardware: str
    message: str
    url: str
    created: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a Space's own server said."""

    body: bytes
    headers: dict[str, str]


def create_space(
    repo_id: str,
    files: Files,
    *,
    hardware: str,
    secrets: dict[str, str],
    variables: dict[str, str],
    sleep_seconds: int,
    token: str,
    volumes: list[dict[str, Any]] | None = None,
) -> None:
    """A private Docker Space with everything it needs in the call that makes it, then its files as one commit: each later change
    would start it again. One that is there already keeps its settings; it is not given the files twice."""
    from huggingface_hub import SpaceHardware, Volume

    basic = hardware == SpaceHardware.CPU_BASIC
    with client(token, repo_id) as api:
        api.create_repo(
            repo_id, repo_type="space", space_sdk="docker", private=True, exist_ok=True, space_hardware=hardware,
            space_secrets=[{"key": name, "value": value} for name, value in secrets.items()],
            space_variables=[{"key": name, "value": value} for name, value in variables.items()],
            space_sleep_time=None if basic else sleep_seconds,
            space_volumes=[Volume(**values) for values in volumes or []] or None,
        )  # fmt: skip
        has_files = "Dockerfile" in api.list_repo_files(repo_id, repo_type="space")
    if not has_files:
        commit_files(repo_id, files, message="What to train", token=token, kind="space")


def inspect_space(repo_id: str, *, token: str) -> HubSpace:
    with client(token, repo_id) as api:
        runtime = api.get_space_runtime(repo_id)
        info = api.space_info(repo_id)
    stage = runtime.stage.value if hasattr(runtime.stage, "value") else str(runtime.stage)
    message = str(runtime.raw.get("errorMessage") or "")
    hardware = str(runtime.hardware or runtime.requested_hardware or "")
    created = info.created_at.timestamp() if info.created_at else None
    url = f"{settings.HF_ENDPOINT}/spaces/{repo_id}"
    return HubSpace(repo_id, stage, str(info.host or ""), hardware, message, url, created)


def pause_space(repo_id: str, *, token: str) -> None:
    """Paused, it costs nothing."""
    with client(token, repo_id) as api:
        api.pause_space(repo_id)


def restart_space(repo_id: str, *, token: str) -> None:
    with client(token, repo_id) as api:
        api.restart_space(repo_id)


def ask(host: str, path: str, *, key: str, token: str, post: bool = False) -> Answer:
    """What the Space's server answers. Unavailable while nobody answers there; Forbidden when the proxy or it refuses."""
    import httpx2

    headers = {"Authorization": f"Bearer {token}", "X-Run-Key": key}
    with _reached():
        answer = httpx2.request("POST" if post else "GET", f"{host}{path}", headers=headers, timeout=ASK_SECONDS)
    if answer.status_code in (401, 403):
        raise Forbidden("The Space refused the question.")
    if answer.status_code != 200:
        raise Unavailable(f"The Space does not answer yet (status {answer.status_code}).")
    return Answer(answer.content, {name.lower(): value for name, value in answer.headers.items()})


def build_log(repo_id: str, *, token: str) -> list[str]:
    """What was said while its container was built."""
    return _log(repo_id, token, build=True)


def run_log(repo_id: str, *, token: str) -> list[str]:
    """What the container has printed so far."""
    return _log(repo_id, token, build=False)


def _log(repo_id: str, token: str, *, build: bool) -> list[str]:
    with client(token, repo_id) as api:
        return [line.rstrip("\n") for line in api.fetch_space_logs(repo_id, build=build)]


@contextmanager
def _reached() -> Iterator[Any]:
    import httpx2

    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        raise Unavailable("The Space can't be reached.", retry_after=10) from None
