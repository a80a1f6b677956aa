"""A job's curves on their way to a tracker: from the recorded events, by the general worker, so that no run waits for it."""

from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from accounts.tracker_accounts import tracker_of
from finetune.core.errors import DomainError, Unavailable
from training.event_feed import events_after
from training.models import JobEvent, TrainingJob
from training.tracker_models import TrackerRun
from training.tracking import NAMES, Sender, points_of, sender_for

logger = logging.getLogger(__name__)
PAUSE = timedelta(seconds=10)  # between two looks at a running job
HELD = timedelta(minutes=5)  # how long a worker may take before another tries
LONGEST_PAUSE = timedelta(minutes=30)
MOST_TRIES = 60  # in a row: a tracker that is silent for a day is given up
EVENTS = 1000
BATCHES = 20  # at one turn; the rest comes with the next


def report_run(*, run: TrackerRun) -> TrackerRun:
    """Send what is new and, once the job has ended and everything is there, close the run. A tracker that does not answer is asked
    again, ever later; one that refuses is not. Never refuses itself: what went wrong stands in `run.error`."""
    try:
        tracker = tracker_of(run.job.owner, run.kind)
        if tracker is None:
            return _keep(run, done=True, error=f"No account at {NAMES[run.kind]} is stored any more.")
        _send(run, sender_for(tracker))
        _keep(run, error="", tries=0, next_at=timezone.now() + PAUSE)
    except Unavailable as error:
        pause = min(PAUSE * 2 ** min(run.tries, 12), LONGEST_PAUSE)
        _keep(run, error=error.message[:300], tries=run.tries + 1, next_at=timezone.now() + pause, done=run.tries + 1 >= MOST_TRIES)
    except DomainError as error:
        _keep(run, error=error.message[:300], done=True)
    return run


def _send(run: TrackerRun, sender: Sender) -> None:
    ended = run.job.is_finished  # asked before its events are: what it wrote to its end is then there
    if not run.place:
        place, url = sender.open(run)
        _keep(run, place=place, url=url[:600])
    for _ in range(BATCHES):
        feed = events_after(run.job_id, run.sent_seq, limit=EVENTS, kinds=[JobEvent.Kind.METRIC])
        if points := points_of(feed.events):
            sent = sender.send(run, points)
            _keep(run, sent_seq=feed.events[-1]["seq"], sent_points=run.sent_points + sent)
        if feed.whole:
            break
    else:
        return
    if ended:
        sender.close(run)
        _keep(run, done=True)


def _keep(run: TrackerRun, **values: object) -> TrackerRun:
    TrackerRun.objects.filter(pk=run.pk).update(**values)
    for name, value in values.items():
        setattr(run, name, value)
    return run


def open_reports(job: TrainingJob) -> None:
    """A worker has taken the job: from now on there is something to send, also for an attempt after the last one was reported."""
    for kind in job.report_to:
        TrackerRun.objects.update_or_create(job=job, kind=kind, defaults={"done": False, "tries": 0, "next_at": timezone.now()})


@shared_task
def report_due() -> None:
    """By beat: each run that is due goes to a worker once."""
    now = timezone.now()
    for pk in TrackerRun.objects.filter(done=False, next_at__lte=now).order_by("next_at").values_list("pk", flat=True)[:200]:
        if TrackerRun.objects.filter(pk=pk, done=False, next_at__lte=now).update(next_at=now + HELD):
            report.delay_on_commit(pk)


@shared_task
def report(pk: int) -> None:
    """One turn."""
    run = TrackerRun.objects.select_related("job__owner", "job__model", "job__dataset").filter(pk=pk, done=False).first()
    if run is not None and run.job.owner.is_active:
        report_run(run=run)
