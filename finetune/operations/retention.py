"""What the rules of retention let go, found but not touched. services/prune_files.py removes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import DataArchive
from finetune.core import storage, store
from models_app.models import LanguageModel
from training.engine import datacache
from training.models import TrainingJob

DEBRIS_SECONDS = 86400  # nothing is being written for a day without a byte
GONE = ".gone-"  # begins the name of what prune_files is deleting; a crash leaves it
STAGED = {
    "datasets": (".[0-9]*-*", "*/.hub-*", f"*/{GONE}*", f"*/{store.FETCHED}*"),
    "models": (".[0-9]*-*", f"{store.FETCHED}*"),
    "archives": (".[0-9]*-part", f"{GONE}*"),
    "exports": (".[0-9]*-part", ".ollama-*-part", f"{store.FETCHED}*"),
    "runs": (f"{GONE}*", f"*/*/{GONE}*", f"*/*/{store.FETCHED}*", f"*/*/checkpoints/{store.FETCHED}*"),
    "cache": (f"prepared/{GONE}*",),
}


@dataclass(frozen=True)
class Removable:
    """A file or directory that a rule lets go, here and in the shared store. `job` is whose it is: it must still be ended when it is
    removed."""

    path: Path
    rule: str
    bytes: int
    job: int | None = None


def removable() -> Iterator[Removable]:
    """Everything the settings let go now. A path is named once, by the rule that takes most."""
    seen: set[Path] = set()
    for found in (*_failed_runs(), *_checkpoints(), *_logs(), *_tokens(), *_archives(), *_debris()):
        if not seen & {found.path, *found.path.parents}:
            seen.add(found.path)
            yield found


def _failed_runs() -> Iterator[Removable]:
    for job in _ended(settings.RETAIN_FAILED_RUN_DAYS, TrainingJob.ENDED_BADLY):
        root = storage.job_dir(job)
        if (root.is_dir() or store.published(root)) and not _holds_a_model(root):
            yield _found(root, "failed_runs", job)


def _checkpoints() -> Iterator[Removable]:
    for job in _ended(settings.RETAIN_CHECKPOINT_DAYS, TrainingJob.FINISHED):
        root = storage.job_dir(job)
        shared = {path.parent for path in store.published(root) if path.parent.name == "checkpoints"}
        for folder in sorted({*root.glob("*/checkpoints"), *shared}):
            if (folder in shared or any(folder.iterdir())) and not _holds_a_model(folder):
                yield _found(folder, "checkpoints", job)


def _logs() -> Iterator[Removable]:
    for job in _ended(settings.RETAIN_LOG_DAYS, TrainingJob.FINISHED):
        root = storage.job_dir(job)
        for file in sorted({*root.glob("*/engine.log"), *(path for path in store.published(root) if path.name == "engine.log")}):
            yield _found(file, "logs", job)


def _ended(days: int, statuses: tuple[str, ...]) -> list[int]:
    """Jobs that ended that way more than so many days ago, and from which nothing is being reproduced or resumed; none for 0."""
    if not days:
        return []
    before = timezone.now() - timedelta(days=days)
    return list(TrainingJob.objects.filter(status__in=statuses, finished_at__lt=before).order_by("pk").values_list("pk", flat=True))


def _holds_a_model(folder: Path) -> bool:
    """Whether some model's weights lie in there; ours are kept under models/, but a row may point anywhere."""
    inside = Q()
    for name in (str(folder), str(folder.relative_to(settings.DATA_DIR))):
        inside |= Q(path=name) | Q(path__startswith=f"{name}/")
    return LanguageModel.objects.filter(inside).exists()


def _tokens() -> Iterator[Removable]:
    """Prepared tokens, by their own rule (training/engine/datacache.py)."""
    for file in datacache.unused(settings.DATA_DIR / "cache" / "prepared"):
        if file.exists():
            yield _found(file, "prepared_tokens")


def _archives() -> Iterator[Removable]:
    """Archives of people's data that have expired, or that no row knows; another machine may have made them."""
    kept = DataArchive.objects.filter(Q(expires_at__gt=timezone.now()) | Q(expires_at=None)).values_list("pk", flat=True)
    known = {str(pk) for pk in kept}
    folder = storage.archive_file(0).parent
    for file in sorted({*folder.glob("[0-9]*.zip"), *store.published(folder)}):
        if file.stem not in known:
            yield _found(file, "archives")


def _debris() -> Iterator[Removable]:
    """Uploads that broke off and directories that were being written when their process died: nobody can reach them."""
    places = [settings.FILE_UPLOAD_TEMP_DIR.glob("*")]
    places += [(settings.DATA_DIR / name).glob(pattern) for name, patterns in STAGED.items() for pattern in patterns]
    for place in places:
        for path in place:
            if _untouched(path):
                yield _found(path, "debris")


def _untouched(path: Path) -> bool:
    """Nothing in it was written for a day."""
    try:
        newest = max(item.stat().st_mtime for item in (path, *path.rglob("*")))
    except OSError:  # it has just gone
        return False
    return time.time() - newest > DEBRIS_SECONDS


def _found(path: Path, rule: str, job: int | None = None) -> Removable:
    here = path.stat().st_size if path.is_file() else freed_bytes(path)
    return Removable(path, rule, here + sum(tree.bytes for tree in store.published(path).values()), job)


def freed_bytes(folder: Path) -> int:
    """What deleting the directory gives back: files whose other names lie outside stay where they are."""
    names: dict[tuple[int, int], int] = {}
    stats = [file.stat() for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    for stat in stats:
        names[stat.st_dev, stat.st_ino] = names.get((stat.st_dev, stat.st_ino), 0) + 1
    whole = {(stat.st_dev, stat.st_ino): stat.st_size for stat in stats if names[stat.st_dev, stat.st_ino] >= stat.st_nlink}
    return sum(whole.values())
