"""Push a model to the owner's Hugging Face account, or an organisation's."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from accounts.stored_token import stored_token
from finetune.core import hub, hub_push, storage
from finetune.core.errors import Conflict, DomainError, Forbidden, Invalid, Unavailable, invalid_field
from finetune.core.hub_models import HubModel
from finetune.core.templatetags.ui import size
from models_app import hub_transfer
from models_app.announce import announce
from models_app.export_kinds import bytes_needed
from models_app.hub_rows import checked_name
from models_app.inference.merge_plan import merge_memory
from models_app.inference.progress import read_progress
from models_app.inference.tensorfiles import BadWeights
from models_app.models import LanguageModel
from models_app.programs import run_program
from models_app.push_card import story_of, write_card
from models_app.push_files import copy_files

logger = logging.getLogger(__name__)
P = LanguageModel.Push
ACTIVE = (P.QUEUED, P.RUNNING)
READERS = ("read",)
TRIES = 3
SPARE_BYTES = 1000**3  # left on the disk for everything else
LONGEST_WAIT = 60  # seconds between two of them
# Files of a new repository that say nothing about what it holds.
EMPTY = {".gitattributes", "README.md"}


def push_model(
    *, model: LanguageModel, repo_id: str, private: bool = True, merge: bool = False, commit_message: str = ""
) -> LanguageModel:
    """The model at once, its `push_status` queued; a worker uploads it, with a model card, as one commit.

    `merge` uploads an adapter merged into its base, tensor by tensor where the adapter is plain (inference/merge_plan.py). A repository
    that an earlier version of this family made gets the next commit. Refuses: a base model, a name that can't be one or an owner that
    is not the person or an organisation of theirs (Invalid); a token that may only read (Forbidden); no token, a push that is under
    way, a repository that holds something else or is not as private as asked, too little memory or disk to merge (Conflict); a silent
    Hub (Unavailable).
    """
    repo_id = _checked(model, repo_id, merge)
    token = stored_token(model.owner)
    if not token:
        raise Conflict("Save a Hugging Face token that may write in your settings first.", code="no_token")
    _refuse_owner(hub.whoami(token), repo_id)
    _refuse_repository(model, hub_push.find_repository(repo_id, token), private)
    message = commit_message.strip()[:200] or f"{model}"
    wanted = {"repo_id": repo_id, "private": private, "merge": merge, "message": message, "tries": 0}
    rows = LanguageModel.objects.filter(pk=model.pk, status=LanguageModel.Status.READY).exclude(push_status__in=ACTIVE)
    if not rows.update(push_status=P.QUEUED, push=wanted, progress=None, updated_at=timezone.now()):
        raise Conflict(f"“{model}” is being pushed already. Wait until that is done.", code="push_busy")
    push.delay_on_commit(model.pk)
    model.refresh_from_db()
    announce(model)
    return model


def merge_bytes(model: LanguageModel) -> int:
    """Memory that merging this version needs at its peak; 0 for a whole model, and where its files are not on this machine."""
    if not model.adapter or model.base_model is None:
        return 0
    try:
        return merge_memory(model.base_model.place, model.place)
    except (BadWeights, OSError, ValueError):
        return 0


def _checked(model: LanguageModel, repo_id: str, merge: bool) -> str:
    repo_id, _ = checked_name(repo_id)
    if "/" not in repo_id:
        raise invalid_field("repo_id", "Name the repository as owner/name.")
    if model.kind == LanguageModel.Kind.BASE:
        raise Invalid(f"“{model}” is a base model. Push a version that you made of it.", code="not_yours")
    if model.status != LanguageModel.Status.READY:
        raise Conflict(f"“{model}” is not ready.", code="not_ready")
    if merge and not model.adapter:
        raise invalid_field("merge", f"“{model}” is a whole model already; only adapters are merged.")
    if merge:
        _refuse_small(model)
    return repo_id


def _refuse_small(model: LanguageModel) -> None:
    """Conflict, with the numbers, where merging would not fit into the memory or onto the disk."""
    needed, free = merge_bytes(model), psutil.virtual_memory().available
    if needed > free:
        words = f"Merging needs about {size(needed)} of memory; {size(free)} are free. Push the adapter instead."
        raise Conflict(words, code="no_memory")
    needed, free = bytes_needed(model, "merged", ""), shutil.disk_usage(settings.DATA_DIR).free
    if needed + SPARE_BYTES > free:
        words = f"The merged model takes {size(needed)} on the server's disk meanwhile; {size(free)} are free. Push the adapter instead."
        raise Conflict(words, code="disk_full")


def _refuse_owner(who: hub.HubIdentity, repo_id: str) -> None:
    owner = repo_id.partition("/")[0]
    if who.role == "read":
        raise Forbidden("Your Hugging Face token may only read. Save one that may write in your settings.", code="read_token")
    may = [who.username, *(org for org in who.orgs if who.org_roles.get(org) not in READERS)]
    if owner not in may:
        raise invalid_field("repo_id", f"You can't write to {owner}'s repositories. Choose one of: {', '.join(may)}.")


def _refuse_repository(model: LanguageModel, there: HubModel | None, private: bool) -> None:
    if there is None:
        return
    known = LanguageModel.objects.filter(owner=model.owner, family=model.family, hub_url=_url(there.repo_id)).exists()
    if not known and {file.path for file in there.files} - EMPTY:
        words = f"{there.repo_id} exists and holds something else. Choose another name; nothing there was changed."
        raise Conflict(words, code="repository_taken")
    if private != there.private:
        words = (
            f"{there.repo_id} is {'private' if there.private else 'public'} already. Ask for that, or change it on the Hub first."
        )
        raise Conflict(words, code="other_visibility")


def _url(repo_id: str) -> str:
    return f"{settings.HF_ENDPOINT}/{repo_id}"


def _workplace(pk: int) -> Path:
    return storage.model_dir(pk).with_name(f".{pk}-push")


@shared_task
def push(pk: int) -> None:
    """The background half: one worker at a time; harmless when delivered twice, and it begins again when its worker died."""
    folder = _workplace(pk)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hub_transfer.alone_in(folder):
            model = LanguageModel.objects.select_related("base_model", "produced_by").filter(pk=pk, push_status__in=ACTIVE).first()
            if model is not None:
                _run(model, folder)
            storage.remove_tree(folder)
    except hub_transfer.Busy:
        return


def _run(model: LanguageModel, folder: Path) -> None:
    tries = model.push.get("tries", 0) + 1
    if tries > TRIES:
        _fail(model, "The push was cut off several times. Look at the worker's log, then push again.")
        return
    try:
        _keep(model, push_status=P.RUNNING, push={**model.push, "tries": tries})
        _push(model, folder)
    except hub_transfer.Stopped:
        logger.info("Model %s: the push was stopped.", model.pk)
    except DomainError as error:
        _fail(model, error.message)
    except OSError as error:
        logger.exception("Model %s could not be pushed.", model.pk)
        _fail(model, f"The server could not read or write the files: {error.strerror or type(error).__name__}.")


def _push(model: LanguageModel, folder: Path) -> None:
    wanted, report = model.push, _Report(model)
    shutil.rmtree(content := folder / "content", ignore_errors=True)
    content.mkdir()
    if wanted["merge"]:
        _merge(model, folder / "merging.json", content, report)
    else:
        copy_files(model, content)
    card = write_card(model, wanted["repo_id"], merged=wanted["merge"], story=story_of(model))
    (content / "README.md").write_text(card)
    commit = _upload(model, content, report)
    done = {**wanted, "commit": commit, "at": timezone.now().isoformat()}
    _keep(model, push_status=P.DONE, push=done, hub_url=_url(wanted["repo_id"]), progress=None)
    announce(model)


def _merge(model: LanguageModel, progress: Path, content: Path, report: _Report) -> None:
    progress.unlink(missing_ok=True)
    report.merging(0, None)
    places = (str(model.base_model.directory), str(model.directory), str(content))  # type: ignore[union-attr]

    def follow() -> None:
        report.merging(*(read_progress(progress) or (0, None)))

    run_program("merge", *places, "--progress", str(progress), on_wait=follow, what="Merging")


def _upload(model: LanguageModel, content: Path, report: _Report) -> str:
    """Twice more when the Hub does not answer; what is there already is not sent again."""
    wanted, token = model.push, stored_token(model.owner)
    for left in range(TRIES - 1, -1, -1):
        try:
            return hub_push.push_folder(
                wanted["repo_id"], content, private=wanted["private"], message=wanted["message"], token=token, on_bytes=report
            )
        except Unavailable as error:
            if not left or error.code == "offline":
                raise
            report.wait(min(error.retry_after or 5, LONGEST_WAIT))
    raise AssertionError("unreachable")


def _keep(model: LanguageModel, **values: Any) -> None:
    """Write to the row as long as its push is wanted."""
    rows = LanguageModel.objects.filter(pk=model.pk, push_status__in=ACTIVE)
    if not rows.update(updated_at=timezone.now(), **values):
        raise hub_transfer.Stopped
    for name, value in values.items():
        setattr(model, name, value)


def _fail(model: LanguageModel, words: str) -> None:
    rows = LanguageModel.objects.filter(pk=model.pk, push_status__in=ACTIVE)
    if rows.update(push_status=P.FAILED, push={**model.push, "error": words}, progress=None, updated_at=timezone.now()):
        announce(model)


class _Report:
    """How far the push is: in the row, and to the sockets."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.began = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        rate = done / max(time.monotonic() - self.began, 1e-3)
        eta = round((total - done) / rate, 1) if rate else None
        self._tell({"done": done, "total": total, "unit": "bytes", "rate": round(rate), "eta_seconds": eta})

    def merging(self, done: int, total: int | None) -> None:
        """`total` is None while nobody knows: at first, and when it goes all at once."""
        self._tell({"done": done, "total": total, "unit": "merging", "rate": None, "eta_seconds": None})

    def beat(self) -> None:
        _keep(self.model)

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.beat()
            time.sleep(min(1.0, max(0.0, until - time.monotonic())))

    def _tell(self, progress: dict[str, Any]) -> None:
        _keep(self.model, progress=progress)
        announce(self.model, progress=progress)
