"""How much of this machine's memory belongs to training runs, so that models kept warm for chats leave it alone.

models_app asks for it by name (settings.TRAINING_CLAIMS): it lies below us.
"""

from __future__ import annotations

import psutil

from finetune.core import board
from training import queue, slots
from training.device_reports import BOARD, FRESH_SECONDS
from training.engine.rundir import RunDir
from training.lease import machine
from training.models import TrainingJob


def claimed_and_used(device: str) -> tuple[int, int]:
    """(claimed, used) bytes on one device of this machine, as torch names it ("cpu", "cuda:0", …): what the trainings that run there
    were estimated to need at most, with the next one in line where this machine trains; and what the running ones hold of it by now.
    """
    running = [job for job in _running() if _computes_on(job, device)]
    claims = [(claim_of(job), used_by(job, device)) for job in running]
    claimed = sum(max(claim, used) for claim, used in claims)
    following = _next_claim()
    # While a slot is free, the next one starts beside those that run, else in the place of one of them.
    beside = not running if device.startswith("cuda") else len(running) < len(slots.slots())
    return claimed + following if beside else max(claimed, following), sum(used for _, used in claims)


def claim_of(job: TrainingJob) -> int:
    """Bytes the job may need on each of its devices: the upper end of its estimate, or what it has needed so far if that is more."""
    estimate = ((job.estimate or {}).get("memory_bytes") or {}).get("high") or 0
    return max(int(estimate), int(job.memory.get("peak_bytes") or 0))


def used_by(job: TrainingJob, device: str) -> int:
    """Bytes a running job holds now: on the processor what its processes really have, on a GPU the most it has had (torch keeps it)."""
    if device.startswith("cuda"):
        return int(job.memory.get("peak_bytes") or 0)
    who = RunDir(job.run_dir).engine()
    try:
        engine = [psutil.Process(who["pid"])] if who else []  # else it is starting
        return sum(process.memory_info().rss for leader in engine for process in (leader, *leader.children(recursive=True)))
    except psutil.Error:  # it has just ended
        return 0


def _next_claim() -> int:
    """What the head of the queue will need, where this machine's workers train."""
    if not any(report["machine"] == machine() for report in board.read(BOARD, fresh_seconds=FRESH_SECONDS)):
        return 0
    line = queue.queue("local")
    job = TrainingJob.objects.filter(pk=line[0].job.pk).first() if line else None
    return claim_of(job) if job else 0


def _running() -> list[TrainingJob]:
    """Those that this machine's workers follow."""
    jobs = TrainingJob.objects.running().filter(executor="local", lease_owner__startswith=f"{machine()}|")
    return list(jobs.prefetch_related("device_holds"))


def _computes_on(job: TrainingJob, device: str) -> bool:
    """A run has its GPUs to itself; one that holds none in writing may be on any. The processor is everybody's."""
    holds = {hold.device for hold in job.device_holds.all()}  # type: ignore[attr-defined]
    if not device.startswith("cuda") or not holds:
        return True
    names = slots.slots()
    index = int(device.partition(":")[2] or 0)
    return index < len(names) and names[index] in holds
