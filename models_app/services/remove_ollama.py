"""Take a model that we made out of its Ollama server."""

from __future__ import annotations

from finetune.core import ollama
from finetune.core.errors import Conflict
from models_app.models import LanguageModel, OllamaCopy


def remove_ollama(*, copy: OllamaCopy) -> None:
    """Delete it there, then our record of it. Only what we made is touched: an import that never came that far leaves the name alone.

    Conflict while it is being imported; Unavailable when the server does not answer (nothing is changed then).
    """
    if copy.busy:
        raise Conflict(f"“{copy}” is being imported. Wait until that is done.", code="import_busy")
    if copy.made:
        ollama.delete(copy.server, copy.name)
    copy.delete()
    if copy.model:
        LanguageModel.objects.filter(pk=copy.model.pk, ollama_name=copy.name).update(ollama_name="")
