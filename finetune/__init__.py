"""The project. Importing the Celery app here binds every @shared_task to it, in each process alike."""

from celery_worker import app as celery_app

__all__ = ["celery_app"]
