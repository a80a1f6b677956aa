"""Put what is on this machine's disk already into the shared store, as an installation that gets one needs to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datasets_app.models import PROBLEMS, ROWS, Dataset
from finetune.core import storage, store
from finetune.core.errors import Conflict
from models_app.models import Export, LanguageModel
from training.models import TrainingJob


def share_files() -> Iterator[Path]:
    """Publish this machine's datasets, models, exports, and the checkpoints and logs of ended jobs; gives each as it is done.

    What is there already in the same state is not sent again, so it can be cut off and run again, and on every machine in turn. What
    another machine has published is left as it is. Conflict without a shared store.
    """
    if not store.is_shared():
        raise Conflict("There is no shared store: set STORAGE_URL first.", code="no_store")
    for path in _trees():
        there = store.published(path).get(path)
        if path.exists() and (there is None or store.is_damaged(there)):
            store.publish(path)
            yield path


def _trees() -> Iterator[Path]:
    for dataset in Dataset.objects.order_by("pk").iterator():
        names = (dataset.original_name, ROWS, PROBLEMS, (dataset.split_plan or {}).get("folder"))
        yield from (dataset.directory / name for name in names if name)
    for model in LanguageModel.objects.filter(status=LanguageModel.Status.READY).order_by("pk").iterator():
        if model.place == storage.model_dir(model.pk):  # not one in the Hub cache
            yield model.place
    yield from map(storage.export_dir, Export.objects.filter(status=Export.Status.READY).values_list("pk", flat=True))
    for job in TrainingJob.objects.filter(status__in=TrainingJob.FINISHED).order_by("pk").values_list("pk", flat=True):
        yield from sorted(path.parent for path in storage.job_dir(job).glob("[0-9]*/checkpoints/checkpoint-*/seal.json"))
        yield from sorted(storage.job_dir(job).glob("[0-9]*/engine.log"))
