"""The background halves of this app's verbs, so that Celery finds them."""

from datasets_app.services.examine_dataset import examine
from datasets_app.services.measure_dataset import measure
from datasets_app.services.reconcile_datasets import reconcile
from datasets_app.services.render_rows import render
from datasets_app.services.split_dataset import divide_rows
from datasets_app.services.validate_dataset import ingest

__all__ = ["divide_rows", "examine", "ingest", "measure", "reconcile", "render"]
