"""The Celery app and its queues.

train      follows runs on this machine's devices; one thread a device slot, the engine is a process of its own
cloud      follows runs at providers, many at once; it needs no device
inference  keeps a model warm and answers prompts
default    everything else: ingest, downloads, exports
The workers' life-cycle hooks are in celery_worker/lifecycle.py.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finetune.settings")

app = Celery("aifinetune")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

from celery_worker import lifecycle  # noqa: E402,F401  (connects the worker's signals to this app)
