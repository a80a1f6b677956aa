"""The door to an MLflow tracking server: its documented REST API, version 2.0 (https://mlflow.org/docs/latest/api_reference/rest-api.html).

Through the door for hosts people name (outbound.py), which MLflow's own client would go around: docs/adr/0010. Everything raises
Invalid (refused: asking again won't help) or Unavailable (no answer, or none to be had now).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from finetune.core import outbound, trackers
from finetune.core.errors import Invalid

METRICS_AT_ONCE = 1000  # what log-batch takes
PARAMS_AT_ONCE = 100
LONGEST_PARAM = 6000


@dataclass(frozen=True)
class Account:
    """A server and who asks: user and password, a token alone, or nothing where it is open."""

    url: str
    username: str = ""
    password: str = ""


def check(account: Account) -> None:
    """Ask for one experiment: Invalid when it is no MLflow server or refuses this account."""
    _call(account, "POST", "experiments/search", {"max_results": 1})


def find_experiment(account: Account, name: str) -> str:
    """The id of the experiment with this name, made if there is none."""
    try:
        return _call(account, "GET", "experiments/get-by-name", {"experiment_name": name})["experiment"]["experiment_id"]
    except Invalid as error:
        if error.code != trackers.NOT_THERE:
            raise
    return _call(account, "POST", "experiments/create", {"name": name})["experiment_id"]


def find_run(account: Account, experiment: str, tag: str, value: str) -> str:
    """The id of the run with this tag; empty when there is none. `value` is one of ours: letters, digits and dashes."""
    body = {"experiment_ids": [experiment], "filter": f"tags.`{tag}` = '{value}'", "max_results": 1}
    runs = _call(account, "POST", "runs/search", body).get("runs") or []
    return runs[0]["info"]["run_id"] if runs else ""


def create_run(account: Account, experiment: str, *, name: str, tags: dict[str, str], start: int) -> str:
    """A running run; `start` in milliseconds since 1970."""
    told = [{"key": key, "value": value} for key, value in tags.items()]
    body = {"experiment_id": experiment, "run_name": name, "start_time": start, "tags": told}
    return _call(account, "POST", "runs/create", body)["run"]["info"]["run_id"]


def log_params(account: Account, run: str, params: dict[str, Any]) -> None:
    """Options of the run. The same again changes nothing."""
    told = [{"key": key, "value": str(value)[:LONGEST_PARAM]} for key, value in params.items()]
    for part in _parts(told, PARAMS_AT_ONCE):
        _call(account, "POST", "runs/log-batch", {"run_id": run, "params": part})


def log_metrics(account: Account, run: str, metrics: Iterable[tuple[str, float, int, int]]) -> None:
    """(key, value, step, milliseconds since 1970). The same point again changes nothing."""
    told = [{"key": key, "value": value, "step": step, "timestamp": at} for key, value, step, at in metrics]
    for part in _parts(told, METRICS_AT_ONCE):
        _call(account, "POST", "runs/log-batch", {"run_id": run, "metrics": part})


def end_run(account: Account, run: str, *, status: str, end: int) -> None:
    """`status` is FINISHED, FAILED or KILLED, `end` in milliseconds since 1970."""
    _call(account, "POST", "runs/update", {"run_id": run, "status": status, "end_time": end})


def page(url: str, experiment: str, run: str) -> str:
    """A run's address for people."""
    return f"{url}/#/experiments/{experiment}/runs/{run}"


def _parts(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))


def _call(account: Account, method: str, path: str, values: dict[str, Any]) -> dict[str, Any]:
    url, headers = f"{account.url}/api/2.0/mlflow/{path}", {}
    auth: Any = (account.username, account.password) if account.username else None
    if account.password and not account.username:
        headers["Authorization"] = f"Bearer {account.password}"
    with outbound.client(trackers.rules(), timeout=trackers.SECONDS, auth=auth, headers=headers) as client:
        with trackers.translated("MLflow", account.url):
            asked: dict[str, Any] = {"params": values} if method == "GET" else {"json": values}
            answer: httpx.Response = client.request(method, url, **asked)
        return trackers.checked(answer, "MLflow")
