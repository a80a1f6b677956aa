"""The Celery app: `celery -A celery_worker worker|beat|inspect|status`."""

from celery_worker.celery import app

__all__ = ["app"]
