"""A base model and a dataset to try everything with, made on this machine, without a network."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.core.files import File
from django.db import transaction

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.upload_dataset import upload_dataset
from finetune.core.errors import Unavailable
from models_app.announce import announce
from models_app.models import LanguageModel
from models_app.services.register_sample import register_sample, reserve_sample
from training.engine.sample import sample_file
from training.executors.environment import engine_environment

logger = logging.getLogger(__name__)
NAME = "Sample: help desk"
DESCRIPTION = "Questions to the help desk of a small shop and their answers, written for this project."
MAKE_SECONDS = 900  # it takes ten; more only on a machine that is busy with other things


@dataclass(frozen=True)
class Sample:
    """What was made; both may still be on their way: see their status."""

    model: LanguageModel
    dataset: Dataset


def create_sample(*, owner: User) -> Sample:
    """The owner's sample model and dataset. Asked again, it gives the same ones, and makes anew what failed or was deleted."""
    model = reserve_sample(owner=owner)
    dataset = _existing_dataset(owner) or _upload(owner)
    if model.status != LanguageModel.Status.READY:
        transaction.on_commit(partial(make_sample.delay, model.pk), robust=True)
    return Sample(model, dataset)


@shared_task(name="training.services.create_sample.make_sample")
def make_sample(pk: int) -> None:
    """Train the sample base model in a process of its own and register it. Twice is harmless: the second finds it ready."""
    model = LanguageModel.objects.filter(pk=pk, status=LanguageModel.Status.DOWNLOADING).first()
    if model is None:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="sample-", dir=settings.FILE_UPLOAD_TEMP_DIR) as scratch:
            _run_engine(Path(scratch))
            register_sample(owner=model.owner, directory=Path(scratch) / "model")
    except Exception:
        model.move(LanguageModel.Status.FAILED, when=LanguageModel.Status.DOWNLOADING, progress=None)
        announce(model)
        raise


def _run_engine(directory: Path) -> None:
    command = [sys.executable, "-m", "training.engine", "sample", str(directory)]
    environment = engine_environment()
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=MAKE_SECONDS, check=False
    )
    if done.returncode:
        logger.error("The sample model could not be made:\n%s", done.stderr[-4000:])
        raise Unavailable("The sample model could not be made on this machine; the worker's log says why.")


def _existing_dataset(owner: User) -> Dataset | None:
    digest = hashlib.sha256(sample_file().read_bytes()).hexdigest()
    same = Dataset.objects.for_user(owner).filter(content_hash=digest, source_name=sample_file().name)
    return same.exclude(status=Dataset.Status.INVALID).order_by("pk").first()


def _upload(owner: User) -> Dataset:
    with open(sample_file(), "rb") as rows:
        return upload_dataset(owner=owner, file=File(rows, name=sample_file().name), name=NAME, description=DESCRIPTION)
