"""What the loopback Hub understands of writing: create a repository, commit to it, large files over the LFS protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.loopback_hub import LoopbackHub

Answer = tuple[int, dict[str, Any]]
_PREUPLOAD = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/preupload/([^/]+)")
_BATCH = re.compile(r"/(?:datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch")
_COMMIT = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/commit/([^/]+)")


def answer_post(hub: LoopbackHub, path: str, body: bytes, token: str) -> Answer:
    if path == "/api/validate-yaml":
        hub.cards.append(json.loads(body)["content"])
        return 200, {"errors": [], "warnings": []}
    who = hub.tokens.get(token)
    if who is None or who["auth"]["accessToken"]["role"] == "read":
        return 403, {"error": "This token may not write."}
    if path == "/api/repos/create":
        return _create(hub, json.loads(body), who)
    if match := _PREUPLOAD.fullmatch(path):
        return 200, {"files": [_mode(hub, file) for file in json.loads(body)["files"]]}
    if match := _BATCH.fullmatch(path):
        return 200, {"transfer": "basic", "objects": [_upload(hub, thing) for thing in json.loads(body)["objects"]]}
    if match := _COMMIT.fullmatch(path):
        return _commit(hub, match[1], match[2], body)
    return 404, {"error": "no such route"}


def answer_put(hub: LoopbackHub, path: str, body: bytes) -> Answer:
    oid = path.removeprefix("/lfs/")
    if hashlib.sha256(body).hexdigest() != oid:
        return 400, {"error": "these are other bytes"}
    hub.large[oid] = body
    return 200, {}


def _create(hub: LoopbackHub, wanted: dict[str, Any], who: dict[str, Any]) -> Answer:
    owner = wanted.get("organization") or who["name"]
    if owner != who["name"] and owner not in {org["name"] for org in who["orgs"]}:
        return 403, {"error": f"You don't have the rights to create a model under the namespace {owner}"}
    kind, repo_id = f"{wanted.get('type', 'model')}s", f"{owner}/{wanted['name']}"
    if (kind, repo_id) in hub.repos:
        return 409, {"error": "You already created this model repo", "url": f"{hub.url}/{repo_id}"}
    private = wanted.get("private") is True or wanted.get("visibility") == "private"
    hub.add(kind, repo_id, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=private)
    return 200, {"url": f"{hub.url}/{repo_id}", "name": repo_id, "id": "1"}


def _mode(hub: LoopbackHub, file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["size"] >= hub.lfs_from or file["path"].endswith(".safetensors") else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}


def _upload(hub: LoopbackHub, thing: dict[str, Any]) -> dict[str, Any]:
    actions = {} if thing["oid"] in hub.large else {"actions": {"upload": {"href": f"{hub.url}/lfs/{thing['oid']}"}}}
    return {"oid": thing["oid"], "size": thing["size"], **actions}


def _commit(hub: LoopbackHub, kind: str, repo_id: str, body: bytes) -> Answer:
    repo = hub.repos[kind, repo_id]
    header: dict[str, Any] = {}
    for line in map(json.loads, body.splitlines()):
        value = line["value"]
        if line["key"] == "header":
            header = value
        elif line["key"] == "file":
            repo.files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            repo.files[value["path"]] = hub.large[value["oid"]]
        elif line["key"] == "deletedFile":
            repo.files.pop(value["path"], None)
    repo.history.append(header["summary"])
    return 200, {
        "success": True,
        "commitOid": repo.commit,
        "commitUrl": f"{hub.url}/{repo_id}/commit/{repo.commit}",
        "hookOutput": "",
    }
