"""How much of this machine's memory belongs to training runs, so that models kept warm for chats leave it alone.

models_app asks for it by name (settings.TRAINING_CLAIMS): it lies below us.
"""

from __future__ import annotations

import json
from typing import Any

import psutil

from finetune.core import board
from training.device_reports import BOARD, FRESH_SECONDS
from training.engine.rundir import RunDir
from training.lease import machine
from training.models import TrainingJob

S = TrainingJob.Status


def claimed_and_used(device: str) -> tuple[int, int]:
    """(claimed, used) bytes on one device of this machine ("cpu", "cuda:0", …): what running trainings were estimated to need at
    most, or the next one in the queue if that is more and this machine trains; and what the running ones hold of it by now.

    Which of several GPUs a run takes is its worker's business, so its claim counts on each.
    """
    running = [job for job in _local(S.RUNNING, S.CANCELLING) if job.lease_owner.startswith(f"{machine()}|")]
    promised = [(claim_of(job), used_by(job, device)) for job in running]
    claimed = sum(max(claim, used) for claim, used in promised)
    return max(claimed, _next_claim()), sum(used for _, used in promised)


def claim_of(job: TrainingJob) -> int:
    """Bytes the job may need on each of its devices: the upper end of its estimate, or what it has needed so far if that is more."""
    estimate = ((job.estimate or {}).get("memory_bytes") or {}).get("high") or 0
    return max(int(estimate), int(job.memory.get("peak_bytes") or 0))


def used_by(job: TrainingJob, device: str) -> int:
    """Bytes a running job holds now: on the processor what its processes really have, on a GPU the most it has had (torch keeps it)."""
    if device.startswith("cuda"):
        return int(job.memory.get("peak_bytes") or 0)
    try:
        engine = psutil.Process(json.loads(RunDir(job.run_dir).process_file.read_text())["pid"])
        return sum(process.memory_info().rss for process in (engine, *engine.children(recursive=True)))
    except (OSError, ValueError, KeyError, psutil.Error):  # it is starting, or has just ended
        return 0


def _next_claim() -> int:
    """What the head of the queue will need, where this machine's workers train."""
    if not any(report["machine"] == machine() for report in board.read(BOARD, fresh_seconds=FRESH_SECONDS)):
        return 0
    job = TrainingJob.objects.in_queue().filter(executor="local").first()
    return claim_of(job) if job else 0


def _local(*states: str) -> Any:
    return TrainingJob.objects.filter(status__in=states, executor="local")
