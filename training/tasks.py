"""Background halves, so that Celery finds them."""

from training.services.create_sample import make_sample
from training.services.forget_jobs import forget, forget_ended
from training.services.reconcile_jobs import reconcile
from training.services.refresh_prices import refresh
from training.services.report_run import report, report_due
from training.services.start_job import run_job, run_remote_job

__all__ = ["forget", "forget_ended", "make_sample", "reconcile", "refresh", "report", "report_due", "run_job", "run_remote_job"]
