"""Choose the Ollama server that one's models go to."""

from __future__ import annotations

from typing import Any

from finetune.core import ollama
from models_app.models import OllamaServer


def choose_ollama(*, owner: Any, server: str) -> str:
    """The address as it is kept; empty goes back to the installation's. Invalid (field `server`) for one the operator did not allow."""
    if not server.strip():
        OllamaServer.objects.filter(owner=owner).delete()
        return ollama.default_address()
    url = ollama.checked_address(server)
    OllamaServer.objects.update_or_create(owner=owner, defaults={"url": url})
    return url
