"""What a run leaves in the shared store while it goes on, so that another machine can take it over, and what an attempt fetches from there.

A checkpoint is published once its event is recorded: all points before it are rows then, and a machine that goes on from it leaves no
gap in the curve. The log follows, for the pages.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from django.db import connection

from finetune.core import storage, store
from finetune.core.errors import Unavailable
from training.engine.rundir import RunDir
from training.lease import Lease
from training.models import JobEvent

logger = logging.getLogger(__name__)
EVERY_SECONDS = 10.0  # between two looks at the log
MOST_LOG_BYTES = 8 * 1024**2  # a longer log is published at the end only


class Sharing:
    """Publishes one attempt's files from a thread of its own; nothing without a shared store."""

    def __init__(self, lease: Lease):
        self.lease, self.run = lease, RunDir(storage.attempt_dir(lease.job_id, lease.attempt))
        self._look, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        if store.is_shared():
            self._thread = threading.Thread(target=self._go_on, name=f"sharing-{self.lease.job_id}", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """There is a new checkpoint."""
        self._look.set()

    def end(self) -> None:
        """Let go; what is being sent is sent to its end. The next worker of this machine goes on."""
        self._end.set()
        self._look.set()

    def complete(self, *, rows_like: Path | None = None) -> None:
        """Everything there is now, since the attempt is at its end; a store that does not answer then is no reason to wait.

        With `rows_like` (the dataset's directory) the rows as well: another attempt, anywhere, must learn from the same ones.
        """
        self.end()
        if self._thread is None:
            return
        self._thread.join()
        try:
            publish_checkpoints(self.lease)
            _publish_log(self.run, limit=None)
            if rows_like and self.run.data.exists():
                store.publish(self.run.data, like=rows_like)
        except (Unavailable, OSError) as error:
            logger.warning("Files of job %s are on this machine only: %s", self.lease.job_id, error)

    def _go_on(self) -> None:
        try:
            while not self._end.is_set():
                self._look.clear()
                try:
                    publish_checkpoints(self.lease)
                    _publish_log(self.run, limit=MOST_LOG_BYTES)
                except (Unavailable, OSError) as error:
                    logger.warning("Files of job %s are not in the shared store yet: %s", self.lease.job_id, error)
                self._look.wait(EVERY_SECONDS)
        finally:
            connection.close()  # this thread's own


def publish_checkpoints(lease: Lease) -> None:
    """The attempt's recorded checkpoints, newest first; those it has let go are let go in the store as well."""
    root = RunDir(storage.attempt_dir(lease.job_id, lease.attempt)).checkpoints
    there = store.published(root)
    for path in sorted(_recorded(lease, root), key=_step, reverse=True):
        if path not in there and path.is_dir():
            try:
                store.publish(path)
            except FileNotFoundError:
                logger.info("%s was let go while it was sent.", path)
    if not lease.rows.exists():  # another worker's by now
        return
    for path in there:
        if not path.exists():
            store.forget(path)


def _recorded(lease: Lease, root: Path) -> set[Path]:
    """Checkpoints that this attempt's events tell of, and those it began with."""
    events = JobEvent.objects.filter(job=lease.job_id, kind=JobEvent.Kind.CHECKPOINT, attempt=lease.attempt)
    told = {root / Path(path).name for path in events.values_list("payload__path", flat=True) if path}
    spec = RunDir(root.parent).spec_file
    begun = spec.stat().st_mtime if spec.exists() else 0.0
    return told | {path.parent for path in root.glob("checkpoint-*/seal.json") if path.stat().st_mtime < begun}


def bring_checkpoints(root: Path) -> None:
    """Fetch what the store has of an attempt's checkpoints."""
    for path in sorted(store.published(root), key=_step):
        store.here(path)


def _publish_log(run: RunDir, limit: int | None) -> None:
    if not run.log_file.exists():
        return
    size = run.log_file.stat().st_size
    there = store.published(run.log_file).get(run.log_file)
    if (limit is None or size <= limit) and size > (there.bytes if there else 0):
        store.publish(run.log_file)


def _step(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
