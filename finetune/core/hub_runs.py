"""The part of the Hub's door that runs elsewhere go through: a private repository for each, and what Jobs and Spaces cost.

Every function takes the owner's token (prices are told to anybody), and raises what hub_words says.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.core.errors import Invalid, Unavailable
from finetune.core.hub_words import translated

TIMEOUT_SECONDS = 30.0
Files = dict[str, Path | bytes]  # path in the repository → file, or its content


@dataclass(frozen=True)
class Machine:
    """A flavor that Jobs or Spaces run on; memory is one accelerator's (the machine's without one), price USD for an hour."""

    id: str
    name: str
    kind: str
    memory_bytes: int | None
    count: int
    price_per_hour: float


@contextmanager
def client(token: str, about: str = "") -> Iterator[Any]:
    """The official client for one use; errors come out in our words."""
    from huggingface_hub import HfApi, get_session
    from huggingface_hub.utils import disable_progress_bars

    get_session().timeout = TIMEOUT_SECONDS
    disable_progress_bars()
    with translated(about):
        yield HfApi(endpoint=settings.HF_ENDPOINT, token=token or False)  # never one that lies about on this machine


def create_run_repo(repo_id: str, files: Files, *, token: str) -> None:
    """A private dataset repository with these files in one commit. Called again, it finishes what was begun."""
    with client(token, repo_id) as api:
        api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
    commit_files(repo_id, files, message="What to train", token=token)


def commit_files(repo_id: str, files: Files, *, message: str, token: str, kind: str = "dataset") -> None:
    """These files as one commit."""
    from huggingface_hub import CommitOperationAdd

    with client(token, repo_id) as api:
        operations = [CommitOperationAdd(path, content) for path, content in sorted(files.items())]
        api.create_commit(repo_id, operations, commit_message=message, repo_type=kind)


def list_run_files(repo_id: str, *, token: str) -> list[str]:
    with client(token, repo_id) as api:
        return list(api.list_repo_files(repo_id, repo_type="dataset"))


def download_run(repo_id: str, masks: list[str], target: Path, *, token: str) -> None:
    """The files that fit one of `masks` into `target`. A download that was cut off goes on where it stopped."""
    from huggingface_hub import snapshot_download

    with client(token, repo_id):
        snapshot_download(
            repo_id, repo_type="dataset", allow_patterns=masks, local_dir=target, token=token, endpoint=settings.HF_ENDPOINT
        )
    shutil.rmtree(target / ".cache", ignore_errors=True)


def delete_repo(repo_id: str, *, token: str, kind: str = "dataset") -> None:
    """Remove it; nothing happens when it is gone."""
    with client(token, repo_id) as api:
        api.delete_repo(repo_id, repo_type=kind, missing_ok=True)


def exists(repo_id: str, *, token: str, kind: str = "dataset") -> bool:
    with client(token, repo_id) as api:
        return bool(api.repo_exists(repo_id, repo_type=kind))


def list_repos(namespace: str, prefix: str, *, token: str, kind: str) -> list[str]:
    """Repositories of ours: those of `namespace` whose name begins so."""
    with client(token) as api:
        ask = api.list_datasets if kind == "dataset" else api.list_spaces
        listed = ask(author=namespace, search=prefix)
        return [item.id for item in listed if item.id.split("/")[-1].startswith(prefix)]


def jobs_machines(token: str) -> list[Machine]:
    """What Jobs run on, with today's prices."""
    return _machines(lambda api: api.list_jobs_hardware(), token)


def spaces_machines(token: str) -> list[Machine]:
    """What Spaces run on, with today's prices."""
    return _machines(lambda api: api.list_spaces_hardware(), token)


def _machines(ask: Callable[[Any], list[Any]], token: str) -> list[Machine]:
    try:
        with client(token) as api:
            return [_machine(item) for item in ask(api) if item.unit_label in HOURS]
    except (AttributeError, KeyError, TypeError):
        raise Unavailable("The Hugging Face Hub told its hardware in a way that we don't understand.") from None
    except Invalid:
        raise Unavailable("The Hugging Face Hub did not tell its hardware.") from None


HOURS = {"minute": 60.0, "hour": 1.0, "second": 3600.0}


def _machine(item: Any) -> Machine:
    price = item.unit_cost_micro_usd / 1e6 * HOURS[item.unit_label]
    if item.accelerator is None:
        return Machine(item.name, item.pretty_name, "cpu", _bytes(item.ram), 1, price)
    count = max(1, int(item.accelerator.quantity or 1))
    memory = _bytes(item.accelerator.vram)
    return Machine(item.name, item.pretty_name, "cuda", memory // count if memory else None, count, price)


def _bytes(text: str | None) -> int | None:
    """`16 GB` → bytes."""
    number, _, unit = str(text or "").strip().partition(" ")
    try:
        return int(float(number) * {"MB": 1024**2, "GB": 1024**3, "TB": 1024**4}[unit.upper()])
    except (ValueError, KeyError):
        return None
