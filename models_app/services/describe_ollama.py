"""The Ollama server of a person: whether it answers, what it has, and what of that we made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from finetune.core import ollama
from finetune.core.errors import Unavailable
from models_app.models import OllamaCopy, OllamaServer


@dataclass(frozen=True)
class Described:
    """`trouble` says in words why it does not answer; `models` is what it has: [{name, size, modified_at, ours}]."""

    url: str
    reachable: bool
    version: str = ""
    trouble: str = ""
    models: list[dict[str, Any]] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    copies: list[OllamaCopy] = field(default_factory=list)


def describe_ollama(*, owner: Any) -> Described:
    """Ask the server that `owner` chose, or the installation's. Never raises for one that does not answer."""
    url, allowed = server_of(owner), ollama.allowed_addresses()
    copies = list(OllamaCopy.objects.for_user(owner))
    try:
        version, models = ollama.version(url), ollama.list_models(url)
    except Unavailable as error:
        return Described(url, False, trouble=error.message, allowed=allowed, copies=copies)
    ours = {copy.name for copy in copies if copy.server == url and copy.made}
    shown = [
        {
            "name": model["name"],
            "size": model.get("size"),
            "modified_at": model.get("modified_at"),
            "ours": str(model["name"]).lower() in ours,
        }
        for model in models
    ]
    return Described(url, True, version, "", shown, allowed, copies)


def server_of(owner: Any) -> str:
    """The chosen address; the installation's where none was chosen, or the operator allows the chosen one no more."""
    chosen = OllamaServer.objects.filter(owner=owner).first()
    if chosen and chosen.url.partition("://")[2] in ollama.allowed_addresses():
        return chosen.url
    return ollama.default_address()
