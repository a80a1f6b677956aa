"""What operators' verbs share: who may use them, and the note that the people concerned can read."""

from __future__ import annotations

from accounts.models import User
from finetune.core.errors import Forbidden
from training import event_log
from training.event_log import Entry
from training.models import JobEvent, JobQuerySet, TrainingJob


def refuse_others(by: User, what: str) -> None:
    """Forbidden for everybody who is no operator."""
    if not by.is_staff:
        raise Forbidden(f"Only an operator may {what}.", code="operators_only")


def note(job: TrainingJob | int, text: str) -> None:
    """Write what was done, and by whom, into the job's own log."""
    pk = job if isinstance(job, int) else job.pk
    event_log.append(_row(pk), [Entry(JobEvent.Kind.LOG, {"level": "info", "text": text})])


def note_waiting(executor: str, text: str) -> None:
    """The same in the log of every job that waits for this executor."""
    for pk in TrainingJob.objects.waiting().filter(executor=executor).order_by().values_list("pk", flat=True):
        note(pk, text)


def _row(pk: int) -> JobQuerySet:
    return TrainingJob.objects.filter(pk=pk)
