"""Engines of this machine whose attempt was given up: another machine took the job over while this one was out of sight."""

from __future__ import annotations

import logging

from django.conf import settings

from training.engine import process
from training.engine.rundir import RunDir, started_in
from training.models import TrainingJob

logger = logging.getLogger(__name__)


def stop_superseded() -> int:
    """Kill the engines here that work on an attempt older than their job's present one; gives their number.

    Nothing they write is read any more. Engines of jobs without a row are left alone: the database may have been put back.
    """
    running = {run: identity for run in started_in(settings.DATA_DIR) if process.is_alive(identity := run.engine())}
    present = dict(TrainingJob.objects.filter(pk__in={_job(run) for run in running}).values_list("pk", "attempt"))
    old = {run: identity for run, identity in running.items() if int(run.path.name) < present.get(_job(run), 0)}
    for run, identity in old.items():
        logger.warning("%s is another machine's by now: its engine here is stopped.", run.path)
        run.cancel_file.touch()
        process.terminate(identity, force=True)
    return len(old)


def _job(run: RunDir) -> int:
    return int(run.path.parent.name)
