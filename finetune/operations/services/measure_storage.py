"""How much of the disk people's files take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core import storage, store_care
from models_app.models import Export, LanguageModel
from training.models import TrainingJob

KINDS: tuple[tuple[str, Any, Callable[[int], Path]], ...] = (
    ("datasets", Dataset, storage.dataset_dir),
    ("models", LanguageModel, storage.model_dir),
    ("runs", TrainingJob, storage.job_dir),
    ("exports", Export, storage.export_dir),
)


def measure_storage(*, user: User | None = None) -> dict[int, dict[str, int]]:
    """User id → bytes on disk as {datasets, models, runs, exports, total}, of everybody who owns a row or of one person.

    A file that has several names (a run's rows are its dataset's, a version's weights are its run's) counts once for a person,
    with the kind that comes first. Models in the Hub cache are shared by everybody and count for nobody. Four queries.
    """
    seen: set[tuple[int, int, int]] = set()
    shared = store_care.sizes()
    used: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys([kind for kind, *_ in KINDS], 0))
    if user is not None:
        used[user.pk] = dict.fromkeys([kind for kind, *_ in KINDS], 0)
    for kind, model, directory in KINDS:
        rows = model.objects.order_by() if user is None else model.objects.for_user(user).order_by()
        for pk, owner in rows.values_list("pk", "owner_id"):
            files = dict(_files(directory(pk), owner))
            here = sum(size for key, size in files.items() if key not in seen)
            used[owner][kind] += max(here, shared.get(f"{kind}/{pk}", 0))  # a machine has what it needed, the shared store has all
            seen.update(files)
    return {owner: {**kinds, "total": sum(kinds.values())} for owner, kinds in used.items()}


def _files(folder: Path, owner: int) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Each file's identity for this person, and its bytes."""
    for path in folder.rglob("*"):
        with suppress(OSError):  # it has just gone
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                yield (owner, stat.st_dev, stat.st_ino), stat.st_size
