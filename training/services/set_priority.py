"""How urgent a job is."""

from __future__ import annotations

from accounts.models import User
from finetune.core.errors import Conflict, Forbidden, invalid_field
from training import event_log
from training.event_log import Entry
from training.models import JobEvent, TrainingJob

Priority = TrainingJob.Priority
Status = TrainingJob.Status


def set_priority(*, job: TrainingJob, priority: int, by: User) -> TrainingJob:
    """Give a draft or waiting job a priority: 1 high, 0 normal, -1 low. The job's log says who did.

    Invalid for another number; Forbidden to make it high, or to change a high one, for people who are no operators; Conflict
    once it runs or has ended.
    """
    if priority not in Priority.values:
        raise invalid_field("priority", "Choose 1 (high), 0 (normal) or -1 (low).")
    if Priority.HIGH in (priority, job.priority) and not by.is_staff and priority != job.priority:
        raise Forbidden("High priority is an operator's to give and to take.", code="operators_only")
    word = Priority(priority).label.lower()
    entry = Entry(JobEvent.Kind.LOG, {"level": "info", "text": f"{by.username} set the priority to {word}."})
    rows = TrainingJob.objects.filter(pk=job.pk, status__in=(Status.DRAFT, Status.QUEUED))
    changed = event_log.append(rows, [entry], priority=priority)
    job.refresh_from_db()
    if changed is None:
        raise Conflict(f"This job is {job.status}; its priority no longer matters.", code=f"job_{job.status}")
    return job
