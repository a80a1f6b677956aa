"""The part of the Hub's door that models go through: search, one repository's facts, its small text files.

A request may take 10 s; refusals are in words (hub_words.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from finetune.core.hub import TIMEOUT_SECONDS
from finetune.core.hub_words import translated

SORTS = {"downloads": "downloads", "likes": "likes", "trending": "trendingScore", "updated": "lastModified"}
EXPAND = ("author", "cardData", "config", "downloads", "gated", "lastModified", "library_name", "likes", "pipeline_tag", "private",
          "safetensors", "sha", "tags")  # fmt: skip
# Bits of a stored number, by the name safetensors gives it.
BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16, "F4": 4}
MAX_TEXT_BYTES = 2 * 1024**2


@dataclass(frozen=True)
class HubFile:
    """One file of a commit: bytes, and the SHA-256 of a large one (empty for small files)."""

    path: str
    bytes: int
    sha256: str = ""


@dataclass(frozen=True)
class HubModel:
    """What the Hub says about a model repository. `parameters` and `weight_bytes` are None where it has no safetensors to count,
    `context_length` (tokens) where nobody has looked into its configuration."""

    repo_id: str
    author: str = ""
    commit: str = ""
    downloads: int | None = None
    likes: int | None = None
    updated_at: datetime | None = None
    task: str = ""
    library: str = ""
    parameters: int | None = None
    weight_bytes: int | None = None
    context_length: int | None = None
    dtype: str = ""
    gated: bool = False
    private: bool = False
    license: str = ""
    tags: list[str] = field(default_factory=list)
    architecture: str = ""
    model_type: str = ""
    quantization: str = ""
    chat_template: bool = False
    files: list[HubFile] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """A search. `size` is `min:1B,max:8B` or empty; every empty value does not narrow."""

    search: str = ""
    sort: str = "downloads"
    task: str = ""
    size: str = ""
    license: str = ""
    library: str = ""
    author: str = ""


def search_models(wanted: Wanted, *, limit: int, skip: int = 0, token: str = "") -> list[HubModel]:
    """`limit` models after the first `skip`, best first. Unavailable when the Hub does not answer."""
    from huggingface_hub import get_session
    from huggingface_hub.hf_api import ModelInfo
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    # Not HfApi.list_models: it sleeps and asks again when the Hub is busy, and somebody is waiting for a page.
    with translated():
        address, headers = f"{settings.HF_ENDPOINT}/api/models", build_hf_headers(token=token or False)
        answer = get_session().get(address, params=_query(wanted, limit + skip), headers=headers, timeout=TIMEOUT_SECONDS)
        hf_raise_for_status(answer)
        return [_model(ModelInfo(**item)) for item in answer.json()[skip : skip + limit]]


def _query(wanted: Wanted, limit: int) -> dict[str, Any]:
    filters = [wanted.library] if wanted.library else []
    filters += [f"license:{wanted.license}"] if wanted.license else []
    query = {
        "search": wanted.search, "sort": SORTS[wanted.sort], "pipeline_tag": wanted.task, "num_parameters": wanted.size,
        "author": wanted.author, "filter": filters, "limit": limit, "expand": list(EXPAND),
    }  # fmt: skip
    return {name: value for name, value in query.items() if value}


def describe_model(repo_id: str, revision: str = "", *, token: str = "", timeout: float = TIMEOUT_SECONDS) -> HubModel:
    """One repository at a revision (the default branch when empty), with its files and their sizes."""
    with translated(repo_id, revision):
        return _model(_api(token).model_info(repo_id, revision=revision or None, files_metadata=True, timeout=timeout))


def check_access(repo_id: str, *, token: str = "") -> None:
    """Forbidden, with the link that grants access, when this token may not read a gated repository's files."""
    with translated(repo_id):
        _api(token).auth_check(repo_id)


def read_text(repo_id: str, path: str, commit: str, *, token: str = "") -> str:
    """A small text file of a commit; empty when it is not there, larger than 2 MB, or access to it is not granted."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(repo_id, path, revision=commit, endpoint=settings.HF_ENDPOINT)
    with translated(repo_id, commit):
        answer = get_session().get(
            url, headers=build_hf_headers(token=token or False), follow_redirects=True, timeout=TIMEOUT_SECONDS
        )
    if answer.status_code != 200 or len(answer.content) > MAX_TEXT_BYTES:
        return ""
    return answer.content.decode(errors="replace")


def read_config(repo_id: str, commit: str, *, token: str = "") -> dict[str, Any]:
    """The model's config.json; empty where there is none to read."""
    try:
        value = json.loads(read_text(repo_id, "config.json", commit, token=token) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _api(token: str) -> Any:
    from huggingface_hub import HfApi, get_session

    get_session().timeout = TIMEOUT_SECONDS  # the library's own calls wait for ever
    return HfApi(endpoint=settings.HF_ENDPOINT, token=token or False)


def _model(info: Any) -> HubModel:
    config, tags = info.config if isinstance(info.config, Mapping) else {}, [str(tag) for tag in info.tags or []]
    files = [_file(sibling) for sibling in info.siblings or []]
    counted = info.safetensors
    dtypes = dict(counted.parameters) if counted else {}
    return HubModel(
        repo_id=info.id,
        author=info.author or info.id.partition("/")[0],
        commit=info.sha or "",
        downloads=info.downloads,
        likes=info.likes,
        updated_at=info.last_modified,
        task=info.pipeline_tag or "",
        library=info.library_name or "",
        parameters=int(counted.total) if counted else None,
        weight_bytes=sum(int(count) * BITS.get(name, 8) // 8 for name, count in dtypes.items()) if dtypes else None,
        dtype=max(dtypes, key=lambda name: dtypes[name]) if dtypes else "",
        gated=bool(info.gated),
        private=bool(info.private),
        license=_license(info, tags),
        tags=tags,
        architecture=next((str(name) for name in config.get("architectures") or []), ""),
        model_type=str(config.get("model_type") or ""),
        quantization=str((config.get("quantization_config") or {}).get("quant_method") or ""),
        chat_template=_has_template(config, files),
        files=files,
    )


def _file(sibling: Any) -> HubFile:
    large = sibling.lfs
    return HubFile(sibling.rfilename, sibling.size or 0, (large.sha256 or "") if large else "")


def _license(info: Any, tags: list[str]) -> str:
    card = info.card_data.to_dict() if info.card_data else {}
    named = card.get("license_name") if card.get("license") in (None, "other") else card["license"]
    tag = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    found = named or tag or card.get("license") or ""
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found)


def _has_template(config: Mapping[str, Any], files: list[HubFile]) -> bool:
    tokenizer = config.get("tokenizer_config") or {}
    names = {file.path for file in files}
    return bool(
        tokenizer.get("chat_template") or config.get("chat_template_jinja") or names & {"chat_template.jinja", "chat_template.json"}
    )
