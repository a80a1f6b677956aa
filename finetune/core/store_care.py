"""What keeps a shared store and this machine's copies of it in order: deletions elsewhere, objects that nobody names."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from finetune.core import bucket, trees
from finetune.core.store import is_shared

logger = logging.getLogger(__name__)
TIDY_SECONDS = 300.0
REMEMBERED = timedelta(days=30)  # for machines that were switched off when something was deleted
UNCLAIMED = timedelta(days=1)  # an object without a row is being published, or nobody's


def sizes() -> dict[str, int]:
    """Bytes in the bucket of each dataset, model, export and job, by its key such as datasets/12."""
    found: dict[str, int] = defaultdict(int)
    for key, size in trees.rows().values_list("key", "bytes") if is_shared() else ():
        found["/".join(key.split("/")[:2])] += size
    return found


def sweep() -> int:
    """Remove objects that no row names and that are older than a day; gives their number."""
    if not is_shared():
        return 0
    trees.all_rows().filter(gone_at__lt=timezone.now() - REMEMBERED).delete()
    unclaimed = compare()[1]
    bucket.delete(unclaimed)
    return len(unclaimed)


def compare() -> tuple[list[str], list[str]]:
    """Objects that rows name and the bucket lacks, and objects older than a day that no row names."""
    before = timezone.now() - UNCLAIMED
    named = {name for tree in trees.rows().iterator() for name in trees.objects_of(tree.key, tree.files)}
    there = dict(bucket.names_below(""))
    return sorted(named - there.keys()), [name for name, when in there.items() if when < before and name not in named]


def tidy() -> int:
    """Remove this machine's copies of what was deleted elsewhere; gives their number. That a row is missing is no deletion: the
    database may have been put back."""
    if not is_shared():
        return 0
    gone = trees.all_rows().exclude(gone_at=None).values_list("key", flat=True)
    doomed = [key for key in gone if _has(key)]
    for key in doomed:
        with trees.alone(key):
            if not trees.rows().filter(key=key).exists():
                trees.remove(settings.DATA_DIR / key)
                trees.state_file(key).unlink(missing_ok=True)
    return len(doomed)


def _has(key: str) -> bool:
    """Whether a copy of it, or with a whole row's directory anything of it, is here."""
    return trees.state_file(key).exists() or bool(trees.WHOLE.fullmatch(key) and (settings.DATA_DIR / key).exists())


def keep_tidy() -> None:
    """Tidy this machine from now on, in a thread of this process. Several processes doing so hurt nobody."""
    if is_shared():
        threading.Thread(target=_tidy_again_and_again, name="tidy-store", daemon=True).start()


def _tidy_again_and_again() -> None:
    while True:
        try:
            tidy()
        except Exception:
            logger.exception("Copies of deleted files could not be removed.")
        finally:
            connection.close()
        time.sleep(TIDY_SECONDS)
