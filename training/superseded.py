"""Engines of this machine whose attempt was given up: another machine took the job over while this one was out of sight."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.conf import settings

from training.engine import process
from training.engine.rundir import RunDir
from training.models import TrainingJob

logger = logging.getLogger(__name__)


def stop_superseded() -> int:
    """Kill the engines here that work on an attempt older than their job's present one; gives their number.

    Nothing they write is read any more. Engines of jobs without a row are left alone: the database may have been put back.
    """
    running = {run: identity for run in _runs() if process.is_alive(identity := _identity(run))}
    present = dict(TrainingJob.objects.filter(pk__in={_job(run) for run in running}).values_list("pk", "attempt"))
    old = {run: identity for run, identity in running.items() if int(run.path.name) < present.get(_job(run), 0)}
    for run, identity in old.items():
        logger.warning("%s is another machine's by now: its engine here is stopped.", run.path)
        run.cancel_file.touch()
        process.terminate(identity, force=True)
    return len(old)


def _runs() -> list[RunDir]:
    files = settings.DATA_DIR.glob("runs/[0-9]*/[0-9]*/process.json")
    return [RunDir(file.parent) for file in files]


def _job(run: RunDir) -> int:
    return int(run.path.parent.name)


def _identity(run: RunDir) -> dict[str, Any] | None:
    try:
        return json.loads(run.process_file.read_text())
    except (OSError, ValueError):
        return None
