"""Bring a base model's files from the Hugging Face Hub to this installation."""

from __future__ import annotations

import errno
import logging
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from accounts.limits import refuse_when_full
from accounts.notice_models import Notification
from accounts.services.notify import notify
from accounts.stored_token import stored_token
from finetune.core import hub, hub_models, store
from finetune.core.errors import Conflict, DomainError, Unavailable, invalid_field
from finetune.core.hub_models import HubModel
from finetune.core.templatetags.ui import size
from models_app import hub_transfer
from models_app.announce import announce
from models_app.hub_repo import files_to_fetch, untrainable
from models_app.hub_rows import base_row, checked_name
from models_app.inspect_model import inspect_model
from models_app.models import LanguageModel
from models_app.programs import run_program
from models_app.services.number_version import mark_latest
from models_app.services.register_base import register_base

logger = logging.getLogger(__name__)
S = LanguageModel.Status
SPARE_BYTES = 1000**3  # left on the disk for everything else
TRIES = 3  # of a download whose Hub stopped answering, beside the client's own five of every file
LONGEST_WAIT = 60  # seconds between two of them
BEGUN = {"done": 0, "total": 0, "unit": "bytes", "rate": 0, "eta_seconds": None}


def download_model(*, owner: Any, repo_id: str, revision: str = "", name: str = "") -> LanguageModel:
    """The model's row at once, `downloading`; a worker fetches the files of the commit that `revision` is now.

    Asked again it returns the same row, and takes a broken download up where it stopped. What this machine's Hub cache holds, or
    the owner has already, is ready at once. Refuses: a name that can't be one or is not on the Hub, a model that can't be
    fine-tuned here, pickled weights (Invalid); a gated repository, with the link that grants access (Forbidden); a disk
    without room, or an owner without (Conflict); a Hub that does not answer (Unavailable).
    """
    repo_id, revision = checked_name(repo_id, revision)
    token = stored_token(owner)
    try:
        found = hub_models.describe_model(repo_id, revision, token=token)
    except Unavailable:
        if model := _here(owner, repo_id, revision):  # without the Hub, what is here already is still good
            return model
        raise
    if model := _here(owner, repo_id, found.commit):
        return model
    _refuse(found, token)
    refuse_when_full(owner)
    model = base_row(owner, repo_id, name.strip(), found.commit, asked=revision)
    values = {"revision": found.commit, "progress": None, "error": "", "restarts": 0, "updated_at": timezone.now()}
    if model.move(S.DOWNLOADING, when=(S.REMOTE, S.FAILED), **values, license=found.license[:100], parameters=found.parameters):
        fetch.delay_on_commit(model.pk)
        announce(model)
    mark_latest(owner=owner, family=model.family)
    model.refresh_from_db()
    return model


def _here(owner: Any, repo_id: str, revision: str) -> LanguageModel | None:
    """The owner's row that is ready or on its way, or a ready one of what lies in this machine's Hub cache."""
    rows = LanguageModel.objects.for_user(owner).filter(repo_id=repo_id, kind=LanguageModel.Kind.BASE)
    rows = rows.filter(status__in=(S.READY, S.DOWNLOADING)).order_by("-version")
    model = (rows.filter(revision=revision) if revision else rows).first()
    if model is None and hub.find_cached(repo_id, revision):
        model = register_base(owner=owner, repo_id=repo_id, revision=revision)
    return model


def _refuse(found: HubModel, token: str) -> None:
    if reason := untrainable(found, allow_pickled=settings.ALLOW_PICKLE_MODELS):
        raise invalid_field("repo_id", reason, code="not_trainable")
    if found.gated:
        hub_models.check_access(found.repo_id, token=token)
    missing = hub_transfer.bytes_missing(_files(found))
    free = shutil.disk_usage(settings.DATA_DIR).free
    if missing + SPARE_BYTES > free:
        words = f"“{found.repo_id}” needs {size(missing)} more; the server's disk has {size(free)} free. Delete what is not needed."
        raise Conflict(words, code="disk_full")


def _files(found: HubModel) -> list[hub_models.HubFile]:
    return files_to_fetch(found.files, pickled=settings.ALLOW_PICKLE_MODELS)


@shared_task
def fetch(pk: int) -> None:
    """The background half: one worker at a time for a model; a second delivery goes away."""
    model = LanguageModel.objects.filter(pk=pk, status=S.DOWNLOADING, source=LanguageModel.Source.HUB).first()
    if model is None:
        return
    try:
        with hub_transfer.working_on(pk) as folder:
            _work(model, folder)
    except hub_transfer.Busy:
        return
    if LanguageModel.objects.filter(pk=pk, status=S.DOWNLOADING).exists():  # cancelled and asked for again meanwhile
        fetch.delay_on_commit(pk)


def _work(model: LanguageModel, folder: Path) -> None:
    try:
        _bring(model, folder)
    except hub_transfer.Stopped:
        logger.info("Model %s: the download was stopped.", model.pk)
        hub_transfer.discard(folder)
    except DomainError as error:
        _fail(model, error.message)
    except OSError as error:
        logger.exception("Model %s could not be downloaded.", model.pk)
        full = "The server's disk is full. Make room, then download again: what has come is kept."
        _fail(model, full if error.errno == errno.ENOSPC else f"The server could not store the files: {error.strerror or error}.")


def _fail(model: LanguageModel, words: str) -> None:
    if model.move(S.FAILED, when=S.DOWNLOADING, error=words, progress=None, updated_at=timezone.now()):
        announce(model)
        _tell(model, Notification.Kind.DOWNLOAD_FAILED, f"“{model.name}” could not be downloaded", words)


def _tell(model: LanguageModel, kind: str, title: str, text: str) -> None:
    notify(user=model.owner, kind=kind, title=title, text=text, path=f"/models/{model.pk}")


def _bring(model: LanguageModel, folder: Path) -> None:
    token = stored_token(model.owner)
    _still_wanted(model, progress=model.progress or BEGUN)
    found = _patiently(model, lambda: hub_models.describe_model(model.repo_id, model.revision, token=token))
    report = _Report(model)
    _patiently(model, lambda: hub_transfer.fetch_files(found, _files(found), folder, token=token, on_progress=report))
    if not hub.weight_files(folder):  # only where the operator allows pickled weights
        run_program("to_safetensors", str(folder), on_wait=lambda: _still_wanted(model), what="Converting the pickled weights")
    facts = asdict(inspect_model(folder))
    facts["license"] = facts["license"] or found.license[:100]
    directory = hub_transfer.publish(folder, model.pk)
    _publish(model, directory)
    path = str(directory.relative_to(settings.DATA_DIR))
    if model.move(S.READY, when=S.DOWNLOADING, path=path, progress=None, error="", updated_at=timezone.now(), **facts):
        mark_latest(owner=model.owner, family=model.family)
        announce(model)
        _tell(model, Notification.Kind.DOWNLOAD_DONE, f"“{model.name}” is downloaded", "It can be trained and tried now.")
    else:
        hub_transfer.remove_model_files(model.pk)


def _publish(model: LanguageModel, directory: Path) -> None:
    """Let other machines have the files, before the row says that they are there."""
    try:
        store.publish(directory, beat=lambda: _still_wanted(model))
    except hub_transfer.Stopped:
        hub_transfer.remove_model_files(model.pk)
        raise


def _patiently(model: LanguageModel, work: Any) -> Any:
    """Do it again after a while when the Hub does not answer; every part of the work goes on where it stopped."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return work()
        except Unavailable as error:
            if not left or error.code == "offline":
                raise
            logger.warning("Model %s: %s", model.pk, error.message)
            _wait(model, min(error.retry_after or 5, LONGEST_WAIT))
    raise AssertionError("unreachable")


def _wait(model: LanguageModel, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _still_wanted(model)
        time.sleep(min(1.0, max(0.0, until - time.monotonic())))


def _still_wanted(model: LanguageModel, **values: Any) -> None:
    rows = LanguageModel.objects.filter(pk=model.pk, status=S.DOWNLOADING)
    if not rows.update(updated_at=timezone.now(), **values):
        raise hub_transfer.Stopped


class _Report:
    """How far it is: in the row, and to the sockets."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.began, self.first = time.monotonic(), -1

    def __call__(self, done: int, total: int) -> None:
        if self.first < 0:
            self.began, self.first = time.monotonic(), done
        rate = (done - self.first) / max(time.monotonic() - self.began, 1e-3)
        eta = round((total - done) / rate, 1) if rate > 0 else None
        progress = {"done": done, "total": total, "unit": "bytes", "rate": round(rate), "eta_seconds": eta}
        _still_wanted(self.model, progress=progress)
        announce(self.model, progress=progress)
