"""Bring a model into an Ollama server, and prove that it answers there as it does here."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from finetune.core import ollama, storage
from finetune.core.errors import Conflict, DomainError
from models_app import hub_transfer
from models_app.announce import announce
from models_app.models import LanguageModel, OllamaCopy
from models_app.ollama_kinds import checked_name, checked_parameters, checked_quantization, checked_template, route_of
from models_app.ollama_work import OllamaWork
from models_app.services.describe_ollama import server_of

logger = logging.getLogger(__name__)
S = OllamaCopy.Status
ACTIVE = (S.QUEUED, S.RUNNING)
TRIES = 3


def import_ollama(
    *,
    model: LanguageModel,
    name: str,
    quantization: str = "",
    system: str = "",
    template: str = "",
    parameters: dict[str, Any] | None = None,
    route: str = "",
    overwrite: bool = False,
) -> OllamaCopy:
    """The copy at once, `queued`; a worker makes what has to be sent, sends what the server lacks, creates the model and asks it something.

    `name` is `[namespace/]model[:tag]`; `quantization` f16, bf16, q8_0, or q4_k_m and q4_k_s, which the server makes; `template` a Go
    template in place of the model's own; `route` gguf, safetensors or adapter, chosen by itself when empty. Refuses: a bad name,
    number format, template or parameter, an architecture that neither side can convert (Invalid); a name that exists there, unless
    `overwrite`, or an import under that name that is under way (Conflict); a server that does not answer (Unavailable).
    """
    if model.status != LanguageModel.Status.READY:
        raise Conflict(f"“{model}” is not ready.", code="not_ready")
    name, kind = checked_name(name), checked_quantization(quantization)
    wanted: dict[str, Any] = {"quantization": kind, "system": system.strip(), "template": checked_template(template)}
    wanted["parameters"] = checked_parameters(parameters or {})
    route, server = route_of(model, route.strip().lower()), server_of(model.owner)
    _refuse_taken(server, name, overwrite)
    with transaction.atomic():
        copy = _row(model, server, name, route)
        fresh = {
            "wanted": wanted,
            "route": route,
            "made_of": str(model)[:250],
            "model": model,
            "tries": 0,
            "error": "",
            "progress": None,
        }
        if not copy.move(S.QUEUED, when=(S.READY, S.FAILED, S.CANCELLED), **fresh, proof={}, updated_at=timezone.now()):
            raise Conflict(f"“{name}” is being imported already. Wait until that is done.", code="import_busy")
        send.delay_on_commit(copy.pk)
    announce(model)
    return copy


def _refuse_taken(server: str, name: str, overwrite: bool) -> None:
    there = {str(model["name"]).lower() for model in ollama.list_models(server)}
    if name in there and not overwrite:
        words = f"The Ollama server has a model “{name}” already. Choose another name, or say that it may be replaced."
        raise Conflict(words, code="name_taken")


def _row(model: LanguageModel, server: str, name: str, route: str) -> OllamaCopy:
    defaults = {"model": model, "made_of": str(model)[:250], "route": route, "status": S.FAILED}
    return OllamaCopy.objects.get_or_create(owner=model.owner, server=server, name=name, defaults=defaults)[0]


@shared_task
def send(pk: int) -> None:
    """The background half: one worker at a time; harmless when delivered twice, and it begins again when its worker died."""
    folder = storage.export_dir(pk).with_name(f".ollama-{pk}-part")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hub_transfer.alone_in(folder):
            rows = OllamaCopy.objects.select_related("model__base_model", "model__owner", "owner")
            if copy := rows.filter(pk=pk, status__in=ACTIVE).first():
                _run(copy, OllamaWork(copy, folder))
            storage.remove_tree(folder)
    except hub_transfer.Busy:
        return


def _run(copy: OllamaCopy, work: OllamaWork) -> None:
    if copy.model is None:
        _fail(copy, "The model was deleted meanwhile.")
        return
    if copy.tries >= TRIES:
        _fail(copy, "The import was cut off several times. Look at the worker's log, then import again.")
        return
    try:
        if copy.move(S.RUNNING, when=ACTIVE, tries=copy.tries + 1, updated_at=timezone.now()):
            proof = work.send()
            _finish(copy, proof)
    except hub_transfer.Stopped:
        logger.info("Ollama import %s was stopped.", copy.pk)
    except DomainError as error:
        _fail(copy, error.message)
    except OSError as error:
        logger.exception("Ollama import %s failed.", copy.pk)
        _fail(copy, f"The server could not read or write the files: {error.strerror or type(error).__name__}.")


def _finish(copy: OllamaCopy, proof: dict[str, Any]) -> None:
    if copy.move(S.READY, when=S.RUNNING, proof=proof, progress=None, error="", updated_at=timezone.now()) and copy.model:
        LanguageModel.objects.filter(pk=copy.model.pk).update(ollama_name=copy.name, updated_at=timezone.now())
        announce(copy.model)


def _fail(copy: OllamaCopy, words: str) -> None:
    if copy.move(S.FAILED, when=ACTIVE, error=words, progress=None, updated_at=timezone.now()) and copy.model:
        announce(copy.model)
