"""The door to the Hugging Face Hub, and the only importer of huggingface_hub.

What goes wrong outside comes back as Invalid (the Hub refused; asking again won't help) or Unavailable (try later).
A token is an argument of one call: it is kept nowhere, and no message or log line of ours holds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.core import storage, store
from finetune.core.errors import Invalid, Unavailable

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class HubIdentity:
    """Whose token it is, what it may do (`read`, `write`, `fineGrained`), the organisations it reaches and the person's role in each."""

    username: str
    role: str
    orgs: list[str]
    org_roles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CachedModel:
    """A model that lies complete in this machine's Hub cache; `revision` is its commit."""

    repo_id: str
    revision: str
    path: Path
    bytes: int


def whoami(token: str) -> HubIdentity:
    """Ask the Hub whose token this is. Invalid when it refuses the token; Unavailable when it does not answer properly in 10 s."""
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise Invalid("This does not look like a Hugging Face token. Copy it again from huggingface.co/settings/tokens.")
    answer = _ask(token)
    try:
        access = answer["auth"]["accessToken"]
        orgs = {str(org["name"]): str(org.get("roleInOrg") or "") for org in answer.get("orgs", [])}
        return HubIdentity(str(answer["name"]), str(access["role"]), list(orgs), orgs)
    except (KeyError, TypeError):
        raise Unavailable("The Hugging Face Hub answered something unexpected. Try again later.") from None


def _ask(token: str) -> dict[str, Any]:
    import httpx2
    from huggingface_hub import HfApi, get_session
    from huggingface_hub.errors import HfHubHTTPError

    get_session().timeout = TIMEOUT_SECONDS  # the library's own calls wait for ever
    try:
        return HfApi(endpoint=settings.HF_ENDPOINT, token=token).whoami()
    except HfHubHTTPError as error:
        raise _refusal(error.response.status_code, error.response.headers.get("Retry-After", "")) from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        raise Unavailable("The Hugging Face Hub can't be reached. Check the network and try again.", retry_after=30) from None
    except ValueError:
        raise Unavailable("The Hugging Face Hub answered something unexpected. Try again later.", retry_after=30) from None


def _refusal(status: int, retry_after: str) -> Invalid | Unavailable:
    wait = int(retry_after) if retry_after.isdigit() else 30
    if status == 429:
        return Unavailable(f"The Hugging Face Hub asks us to slow down. Try again in {wait} s.", retry_after=wait)
    if status in (401, 403):
        return Invalid("The Hugging Face Hub refused this token. Check that it is whole, not expired and not revoked.")
    return Unavailable(f"The Hugging Face Hub has a problem (status {status}). Try again later.", retry_after=wait)


def cached_models() -> list[CachedModel]:
    """Causal language models in the local Hub cache that can be used as they are: config and every safetensors file present.

    Walks the cache's directories instead of huggingface_hub.scan_cache_dir: that stats every blob, which takes
    seconds on a big cache, and this runs while somebody waits for a page.
    """
    from huggingface_hub import constants

    found = []
    for repo in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        repo_id = repo.name.removeprefix("models--").replace("--", "/")
        found += [
            CachedModel(repo_id, snapshot.name, snapshot, storage.tree_bytes(snapshot))
            for snapshot in _snapshots(repo)
            if is_causal_lm(snapshot) and weight_files(snapshot)
        ]
    return found


def find_cached(repo_id: str, revision: str = "") -> CachedModel | None:
    """The cached model of that repository; `revision` is a commit, a branch or a tag, the default branch when empty.

    None where machines share a store: what lies in the cache of one of them is nothing to the others, so models are downloaded.
    """
    from huggingface_hub import constants

    if store.is_shared():
        return None
    repo = Path(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}"
    commit = _read(repo / "refs" / (revision or "main")) or revision
    matches = [model for model in cached_models() if model.repo_id == repo_id and (not commit or model.revision == commit)]
    return matches[-1] if matches else None


def is_causal_lm(directory: Path) -> bool:
    """Whether config.json names an architecture that predicts the next token."""
    try:
        names = json.loads((directory / "config.json").read_text())["architectures"]
        return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a model, all of them; none when one is missing."""
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        single = directory / "model.safetensors"
        return [single] if single.exists() else []
    try:
        files = [directory / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    except (OSError, ValueError, KeyError, AttributeError):
        return []
    return files if all(file.exists() for file in files) else []


def _snapshots(repo: Path) -> Iterator[Path]:
    """Snapshots of one repository, the one `main` names last."""
    main = _read(repo / "refs" / "main")
    yield from sorted((repo / "snapshots").glob("*"), key=lambda path: (path.name == main, path.name))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
