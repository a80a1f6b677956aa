"""The door to Weights & Biases, in the cloud or on one's own server: the calls its client makes for a run, and no others.

Why not that client: docs/adr/0010. An API key and what it opens go to the host the person named, through the door for such hosts
(outbound.py). Everything raises Invalid (refused: asking again won't help) or Unavailable (no answer, or none to be had now).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from finetune.core import outbound, trackers
from finetune.core.errors import Invalid

CLOUD = "https://api.wandb.ai"
CLOUD_PAGES = "https://wandb.ai"  # where people look at what lies there
VIEWER = "query Viewer { viewer { id entity username } }"
UPSERT = """mutation UpsertBucket($name: String, $project: String, $entity: String, $displayName: String, $config: JSONString, $notes: String, $tags: [String!]) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, displayName: $displayName, config: $config, notes: $notes, tags: $tags}) {
    bucket { id name project { name entity { name } } } inserted } }"""


@dataclass(frozen=True)
class Account:
    """Whose key it is, and where."""

    url: str
    key: str


@dataclass(frozen=True)
class Run:
    """Where a run lies on the server."""

    entity: str
    project: str
    name: str

    def page(self, url: str) -> str:
        """Its address for people."""
        base = CLOUD_PAGES if url == CLOUD else url
        return f"{base}/{quote(self.entity)}/{quote(self.project)}/runs/{quote(self.name)}"


def viewer(account: Account) -> dict[str, Any]:
    """{entity, username} of the key's owner; Invalid when the key is none of this server's."""
    found = _ask(account, "Viewer", VIEWER, {}).get("viewer")
    if not found:
        raise Invalid("Weights & Biases refused this key. Create one under User settings, API keys.", code="key_refused")
    return found


def open_run(
    account: Account, *, entity: str, project: str, name: str, title: str, config: dict[str, Any], notes: str, tags: list[str]
) -> Run:
    """Make the run `name` of a project, or change what is known of it. An empty entity is the key's owner's own."""
    told = json.dumps({key: {"value": value} for key, value in config.items()})
    values = {
        "name": name,
        "project": project,
        "entity": entity or None,
        "displayName": title,
        "config": told,
        "notes": notes,
        "tags": tags,
    }
    bucket = ((_ask(account, "UpsertBucket", UPSERT, values)).get("upsertBucket") or {}).get("bucket") or {}
    place = bucket.get("project") or {}
    if not place:
        raise Invalid("Weights & Biases made no run. Check the project and the team in the settings.", code="run_refused")
    return Run(place["entity"]["name"], place["name"], bucket["name"])


def send_points(account: Account, run: Run, *, offset: int, points: Iterable[dict[str, Any]], summary: dict[str, Any]) -> None:
    """History lines from number `offset` on; the same lines again change nothing. Each has `_step` and `_timestamp` beside its values."""
    lines = [json.dumps(point) for point in points]
    files: dict[str, Any] = {"wandb-history.jsonl": {"offset": offset, "content": lines}} if lines else {}
    _stream(account, run, {"files": files | {"wandb-summary.json": {"offset": 0, "content": [json.dumps(summary)]}}})


def close_run(account: Account, run: Run, *, succeeded: bool) -> None:
    """Nothing more comes."""
    _stream(account, run, {"files": {}, "complete": True, "exitcode": 0 if succeeded else 1})


def _stream(account: Account, run: Run, body: dict[str, Any]) -> None:
    path = "/".join(quote(part, safe="") for part in (run.entity, run.project, run.name))
    with _client(account) as client, trackers.translated("Weights & Biases", account.url):
        trackers.checked(client.post(f"{account.url}/files/{path}/file_stream", json=body), "Weights & Biases")


def _ask(account: Account, name: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = {"query": query, "variables": variables, "operationName": name}
    with _client(account) as client, trackers.translated("Weights & Biases", account.url):
        answer = trackers.checked(client.post(f"{account.url}/graphql", json=body), "Weights & Biases")
    if errors := answer.get("errors"):
        raise Invalid(f"Weights & Biases refused: {str(errors[0].get('message', ''))[:200]}", code="tracker_refused")
    return answer.get("data") or {}


def _client(account: Account) -> httpx.Client:
    return outbound.client(trackers.rules(), timeout=trackers.SECONDS, auth=("api", account.key))
