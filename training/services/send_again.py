"""Begin again to send a job to its trackers."""

from __future__ import annotations

from django.utils import timezone

from finetune.core.errors import Conflict
from training.models import TrainingJob
from training.tracker_models import TrackerRun


def send_again(*, job: TrainingJob) -> int:
    """Trackers that were given up are asked again from where they stopped; how many. Conflict when there is none."""
    given_up = TrackerRun.objects.filter(job=job, done=True).exclude(error="")
    number = given_up.update(done=False, error="", tries=0, next_at=timezone.now())
    if not number:
        raise Conflict("Nothing of this job waits to be sent again.", code="nothing_to_send")
    return number
