"""Take something of ours away from a provider."""

from __future__ import annotations

from accounts.models import User
from finetune.core.errors import Conflict, Forbidden, Invalid, invalid_field
from training import executors
from training.executors import AccessRefused
from training.services.list_cloud_runs import list_cloud_runs


def stop_cloud_run(*, user: User, executor: str, held_id: str) -> None:
    """Stop and remove what list_cloud_runs lists under this id; nothing happens when it is gone.

    Invalid for an executor that is none; Conflict while a job needs it: cancel that job; Forbidden when the provider refuses the
    person's credentials.
    """
    if executor not in executors.remote_names():
        raise invalid_field("executor", f"Choose from: {', '.join(executors.remote_names())}.")
    found = next((run for run in list_cloud_runs(user=user).runs if (run.executor, run.held.id) == (executor, held_id)), None)
    if found is None:
        return
    if found.needed and found.job:
        raise Conflict(f"The job “{found.job}” needs this. Cancel the job instead.", code="needed")
    try:
        executors.load(executor).remove_orphan(user, found.held)
    except AccessRefused as error:
        raise Forbidden(str(error)) from None
    except Invalid:  # it went away between the two questions
        return
