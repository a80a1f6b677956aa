"""What belongs into the archive of a person's data: names in it, and where the bytes come from. Names are made of ids, never of
names people gave; nothing is read before it is its turn, so that memory does not notice how much there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q, QuerySet

from accounts.models import AuditEntry, Notification, NotificationChannels, User
from datasets_app.models import Dataset, SavedMapping
from finetune.core import storage, store
from models_app.models import LanguageModel
from models_app.trials import Comparison, Evaluation
from training.event_feed import events_after
from training.models import JobTemplate, TrainingJob
from training.services.describe_run import describe_run
from training.services.export_metrics import export_metrics
from training.services.read_log import PROVIDER_LOG

README = """Everything of yours on this AiFineTune installation.

profile.json      who you are, how you sign in, where you are told things; no password, key or token
datasets/<id>/    dataset.json says what it is; original… is the file as it was uploaded
jobs/<id>/        job.json, spec.json (python -m training.engine runs it), metrics.csv, events.jsonl, the logs of its attempts
models.json       your models and versions; their weights are downloaded from their pages
votes.json        comparisons side by side with your votes
evaluations.json, templates.json, mappings.json, notifications.json
audit.jsonl       what the audit log says you did, and what was done to your account
"""
EVENTS = 2000  # read at a time
SECRET = {"password", "ciphertext", "digest", "session_key"}


@dataclass(frozen=True)
class Entry:
    """A file of the archive: copied from `path`, or made of `chunks`. The first of a dataset or job `begins` it."""

    name: str
    path: Path | None = None
    chunks: Iterable[bytes] = ()
    begins: bool = False


def count(user: User) -> int:
    """Datasets and jobs: what progress is counted in."""
    return Dataset.objects.for_user(user).count() + TrainingJob.objects.for_user(user).count()


def entries(user: User) -> Iterator[Entry]:
    """Every file, one after the other."""
    yield Entry("README.txt", chunks=[README.encode()])
    yield _json("profile.json", _profile(user))
    lists = {
        "models.json": LanguageModel.objects.for_user(user),
        "votes.json": Comparison.objects.for_user(user),
        "evaluations.json": Evaluation.objects.for_user(user),
        "templates.json": JobTemplate.objects.for_user(user),
        "mappings.json": SavedMapping.objects.filter(owner=user),
        "notifications.json": Notification.objects.for_user(user),
    }
    for name, rows in lists.items():
        yield Entry(name, chunks=_array(rows))
    yield Entry("audit.jsonl", chunks=_audit(user))
    for dataset in Dataset.objects.for_user(user).order_by("pk").iterator():
        yield from _dataset(dataset)
    for job in TrainingJob.objects.for_user(user).select_related("model", "dataset").order_by("pk").iterator():
        yield from _job(job)


def _profile(user: User) -> dict[str, Any]:
    names = ("id", "username", "email", "first_name", "last_name", "date_joined", "last_login", "theme", "is_staff")
    lists: dict[str, Any] = {
        "sign_ins_of_browsers": user.browser_sessions,  # type: ignore[attr-defined]
        "sign_ins_of_programs": user.token_families,  # type: ignore[attr-defined]
        "api_keys": user.api_keys,  # type: ignore[attr-defined]
        "credentials": user.credentials,
        "notification_channels": NotificationChannels.objects.filter(owner=user),
    }
    return {name: getattr(user, name) for name in names} | {name: list(_plain(rows.all())) for name, rows in lists.items()}


def _dataset(dataset: Dataset) -> Iterator[Entry]:
    folder = f"datasets/{dataset.pk}"
    yield _json(f"{folder}/dataset.json", next(_plain(Dataset.objects.filter(pk=dataset.pk))), begins=True)
    if dataset.original_file.exists():
        yield Entry(f"{folder}/{dataset.original_file.name}", dataset.original_file)


def _job(job: TrainingJob) -> Iterator[Entry]:
    folder = f"jobs/{job.pk}"
    yield _json(f"{folder}/job.json", next(_plain(TrainingJob.objects.filter(pk=job.pk))), begins=True)
    yield _json(f"{folder}/spec.json", describe_run(job=job)["spec"])
    yield Entry(f"{folder}/metrics.csv", chunks=export_metrics(job=job))
    yield Entry(f"{folder}/events.jsonl", chunks=_events(job))
    for attempt in range(1, job.attempt + 1):
        for name in ("engine.log", PROVIDER_LOG):
            if (log := store.grown(storage.attempt_dir(job.pk, attempt) / name)).exists():
                yield Entry(f"{folder}/attempt-{attempt}-{name}", log)


def _events(job: TrainingJob) -> Iterator[bytes]:
    after, whole = 0, False
    while not whole:
        feed = events_after(job.pk, after, limit=EVENTS)
        yield b"".join(_line(event) for event in feed.events)
        after, whole = (feed.events[-1]["seq"] if feed.events else after), feed.whole or not feed.events


def _audit(user: User) -> Iterator[bytes]:
    """Who else did something to the account is told, not from which address."""
    for entry in AuditEntry.objects.filter(Q(actor=user) | Q(target=user.username)).order_by("pk").iterator():
        told = {name: getattr(entry, name) for name in ("at", "actor_name", "action", "target", "detail")}
        yield _line(told | ({"address": entry.address} if entry.actor_id == user.pk else {}))


def _array(rows: QuerySet) -> Iterator[bytes]:
    """A JSON array, row by row."""
    yield b"["
    for number, row in enumerate(_plain(rows)):
        yield (b",\n" if number else b"\n") + _line(row).rstrip(b"\n")
    yield b"\n]\n"


def _plain(rows: QuerySet) -> Iterator[dict[str, Any]]:
    for row in rows.order_by("pk").values().iterator():
        yield {name: value for name, value in row.items() if name not in SECRET}


def _line(value: Any) -> bytes:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False).encode() + b"\n"


def _json(name: str, value: Any, *, begins: bool = False) -> Entry:
    text = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)
    return Entry(name, chunks=[text.encode()], begins=begins)
