"""Follow one attempt from start to end: read the engine's events into rows, pass on a cancel, notice how it ended.

It holds nothing that is not in the database or in the run directory, so it may be killed at any line: the next worker adopts
the job, reads on from the saved offset, and the engine never notices. It stops at once when its lease is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from finetune.core import bucket
from finetune.core.errors import DomainError, Unavailable
from finetune.core.logs import about_job
from training import executors, failures, placing
from training.device_samples import Sampler
from training.engine.launch import LaunchError
from training.engine.rundir import RunDir, read_events
from training.executors import AccessRefused, Executor
from training.lease import Lease, LeaseLost, held
from training.models import TrainingJob
from training.remote_watch import RemoteWatch
from training.run_files import prepare_run
from training.services.finish_job import Outcome, finish_job
from training.services.pack_metrics import CHUNK, pack_metrics
from training.services.record_events import record_events
from training.sharing import Sharing
from training.superseded import stop_superseded

logger = logging.getLogger(__name__)
Status = TrainingJob.Status

SILENT_SECONDS = 5.0  # between two questions to a provider or a shared store that did not answer, or said that we ask too much
POLL_SECONDS = 0.06  # how late an event may be
HOLD_SECONDS = 0.3  # how late a cancel may be
ALIVE_SECONDS = 1.0  # how late an engine's death may be noticed
START_SECONDS = 90.0  # how long a submitted engine may take to say who it is (a cold start on a busy machine)
TERMINATE_SECONDS = 30.0  # a graceful stop that takes longer is asked again with a signal …
KILL_SECONDS = 120.0  # … and one that takes this long is not waited for
ENDS = ("finished", "failed")


def follow(job: TrainingJob, lease: Lease, *, stop: threading.Event) -> None:
    """Follow the leased attempt until it has ended, the lease is lost, or `stop` is set (then the engine runs on)."""
    try:
        with about_job(job.pk):
            _Follower(job, lease, executors.load(job.executor), stop).run()
    except LeaseLost:
        logger.warning("Job %s, attempt %s: another worker follows it now.", lease.job_id, lease.attempt)
        stop_superseded()


@dataclass
class _Follower:
    job: TrainingJob
    lease: Lease
    executor: Executor
    stop: threading.Event
    since: float = field(default_factory=time.monotonic)
    renewed: float = 0.0
    looked: float = 0.0
    checked: float = 0.0
    cancel_asked: float | None = None
    signalled: float = 0.0
    unsure: bool = False
    unpacked: int = 0
    sampler: Sampler = field(default_factory=Sampler)
    watch: RemoteWatch | None = None
    waits_for_store: bool = False

    def __post_init__(self) -> None:
        if not self.executor.is_here:
            self.watch = RemoteWatch(self.job, self.lease, self.executor)
        self.sharing = Sharing(self.lease)

    @property
    def run_dir(self) -> Path:
        return self.job.run_dir

    def run(self) -> None:
        if self.executor.is_here and self.lease.is_from_another_machine and not self.run_dir.exists():
            name = self.lease.before.partition("|")[0].rpartition("-")[0]
            self._finish(Outcome.LOST, error=failures.machine_lost(RunDir(self.run_dir), name))
        elif self._ensure_submitted():
            self.sharing.begin()
            try:
                self._follow()
            finally:
                self.sharing.end()
        elif self.stop.is_set():
            self.lease.release()

    def _follow(self) -> None:
        poll = POLL_SECONDS if self.executor.is_here else self.executor.poll_seconds
        while not self.stop.is_set():
            try:
                if self._turn():
                    self._clean_up()
                    return
            except AccessRefused as error:
                if self.watch and self.watch.is_refused_for_good(error):
                    self._finish(Outcome.FAILED, error=failures.access_refused(RunDir(self.run_dir), error))
                    return
                self.stop.wait(SILENT_SECONDS)
            except Unavailable as error:  # a provider stumbles: its run goes on, and so do we
                if self.watch and self.watch.is_gone_for_good(error):
                    self._finish(Outcome.FAILED, error=failures.out_of_sight(RunDir(self.run_dir), error))
                    return
                if self.watch:
                    self.stop.wait(SILENT_SECONDS)
                else:
                    self._wait_for_store(error)
            except (OperationalError, InterfaceError) as error:  # the database restarts: the engine goes on, and so do we
                logger.warning("Job %s: the database does not answer: %s", self.lease.job_id, error)
                connection.close()
                self.stop.wait(1.0)
                self.unsure = True
            self.stop.wait(poll)
        self.lease.release()

    def _ensure_submitted(self) -> bool:
        """Prepare and start the engine unless an earlier holder of this attempt did; False when that failed for good."""
        try:
            with held(self.lease):
                if self.executor.is_submitted(self.run_dir):
                    return True
                if not self._prepare():
                    return False
                placing.place(self.job, self.executor)
                self.executor.preflight(self.run_dir)
                self._check_lease(self.lease.renew())  # else two engines would run this attempt
                if self.watch:
                    self.watch.tell_phase(self.executor.first_phase)
                self.executor.submit(self.run_dir)
        except (OSError, ValueError, LaunchError, DomainError, AccessRefused) as error:
            logger.exception("Job %s could not be started.", self.job.pk)
            self._finish(Outcome.FAILED, error=failures.not_started(RunDir(self.run_dir), error))
            self._clean_up()
            return False
        return True

    def _prepare(self) -> bool:
        """Fill the run directory; False when the job was cancelled, or this worker told to stop, before the shared store answered."""
        while True:
            try:
                prepare_run(self.job)
                return True
            except Unavailable as error:
                if error.code != bucket.SILENT:
                    raise
                self._wait_for_store(error)
            if self.lease.rows.filter(status=Status.CANCELLING).exists():
                self._finish(Outcome.CANCELLED)
                return False
            if self.stop.is_set():
                return False

    def _wait_for_store(self, error: Unavailable) -> None:
        """Tell it once, and keep the job meanwhile."""
        logger.warning("Job %s: %s", self.job.pk, error)
        self._check_lease(self.lease.renew())
        if not self.waits_for_store:
            self.waits_for_store = True
            event = {"kind": "warning", "level": "warning", "text": f"{error} The job waits for it.", "time": time.time()}
            record_events(lease=self.lease, events=[event], offset=self.job.events_offset)
        self.stop.wait(SILENT_SECONDS)

    def _turn(self) -> bool:
        """One look at everything; True when the job has come to an end."""
        if self.unsure:  # whether the last write was kept, and a database that was put back may have lost others too
            self.job.refresh_from_db(fields=["events_offset"])
            self.unsure = False
        if self.watch:
            with held(self.lease):
                self.watch.look()
        dead = self._is_dead()  # asked before reading: what a dead engine wrote is read completely
        end = self._read(to_the_end=dead)
        if end is not None:
            return self._settle(end)
        if dead:
            return self._lost()
        self._hold()
        return False

    # --- Events ----------------------------------------------------------------------------------

    def _read(self, *, to_the_end: bool) -> dict[str, Any] | None:
        """Record what is new: one batch while the engine lives (it may write faster than we do, and a cancel must not wait
        for that), everything once it is dead. The event that ends the run is returned instead: finish_job records it
        with the move, so that a crash in between finds it again."""
        while True:
            batch, offset, end = self._next_batch()
            if batch:
                record_events(lease=self.lease, events=batch, offset=offset)
                self._pack(len(batch))
                if any(event.get("kind") == "checkpoint" for event in batch):
                    self.sharing.look()
                self.job.events_offset, self.renewed = offset, time.monotonic()
            if end is not None or not batch or not to_the_end:
                return end

    def _pack(self, recorded: int) -> None:
        """Now and then, older points into a chunk."""
        self.unpacked += recorded
        if self.unpacked >= CHUNK:
            self.unpacked = 0
            pack_metrics(job=self.job)

    def _next_batch(self) -> tuple[list[dict[str, Any]], int, dict[str, Any] | None]:
        batch: list[dict[str, Any]] = []
        offset = self.job.events_offset
        events_file = RunDir(self.run_dir).events_file
        try:
            for event, after in read_events(events_file, offset):
                if event.get("kind") in ENDS:
                    return batch, offset, event
                batch.append(event)
                offset = after
        except (ValueError, AttributeError):  # a line torn by a full disk, or no object: say so and read on behind it
            if not batch:
                batch.append({"kind": "warning", "level": "warning", "text": "An unreadable line of the run's events was skipped."})
                offset = _behind_line(events_file, offset)
        return batch, offset, None

    # --- Holding on ------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Renew the lease in time, and see whether somebody wants the job to stop."""
        now = time.monotonic()
        if now - self.looked < HOLD_SECONDS:
            return
        self.looked = now
        if now - self.renewed > settings.JOB_LEASE_SECONDS / 4:
            self._check_lease(self.lease.renew())
            self.renewed = now
        status = self.lease.rows.values_list("status", flat=True).first()
        self._check_lease(status is not None)
        if self.sampler.is_due():
            self._sample_devices()
        if status == Status.CANCELLING:
            self._pass_on_cancel(now)

    def _sample_devices(self) -> None:
        """A sample where somebody tells what the run's devices do; the engine itself tells only its peak."""
        devices = self.executor.devices(self.run_dir)
        if not devices:
            return
        progress = self.lease.rows.values_list("progress", flat=True).first() or {}
        record_events(lease=self.lease, events=[self.sampler.take(progress.get("step"), devices)], offset=self.job.events_offset)

    def _check_lease(self, held: bool) -> None:
        if not held:
            raise LeaseLost(f"job {self.lease.job_id}, attempt {self.lease.attempt}")

    def _pass_on_cancel(self, now: float) -> None:
        if self.cancel_asked is None:
            self.cancel_asked = now
            self.executor.ask_to_stop(self.run_dir)
            if not self.lease.rows.filter(progress__has_key="step").exists():
                # Nothing is learned yet, so there is nothing to save: don't wait for the imports.
                self.executor.stop(self.run_dir)
            return
        waited, patience = now - self.cancel_asked, self.executor.patience
        if waited > TERMINATE_SECONDS * patience and now - self.signalled > TERMINATE_SECONDS * patience:
            self.signalled = now
            self.executor.stop(self.run_dir, force=waited > KILL_SECONDS * patience)

    def _is_dead(self) -> bool:
        now = time.monotonic()
        if now - self.checked < ALIVE_SECONDS:
            return False
        self.checked = now
        if self.executor.is_alive(self.run_dir):
            return False
        if self.watch:
            return True
        started = RunDir(self.run_dir).process_file.exists() or bool(self.executor.exit_cause(self.run_dir))
        return started or now - self.since > START_SECONDS

    # --- Ends ------------------------------------------------------------------------------------

    def _settle(self, end: dict[str, Any]) -> bool:
        if not self._collect():
            return False
        if self.watch and self.watch.stopped and end.get("outcome") != "succeeded":
            return self._finish(Outcome.FAILED, event=end, error=failures.budget_reached(RunDir(self.run_dir), self.job))
        if end["kind"] == "failed":
            return self._finish(Outcome.FAILED, event=end, error=failures.from_event(RunDir(self.run_dir), end))
        outcome = Outcome.SUCCEEDED if end.get("outcome") == "succeeded" else Outcome.CANCELLED
        return self._finish(outcome, event=end)

    def _lost(self) -> bool:
        """The engine is gone without a last word, or that word lies among what has to be brought here first."""
        if not self._collect():
            return False
        if self.watch and (end := self._read(to_the_end=True)):
            return self._settle(end)
        run = RunDir(self.run_dir)
        self.executor.ask_to_stop(self.run_dir)  # should it be a slow starter after all, it ends itself
        cause = self.executor.exit_cause(self.run_dir)
        if self.watch and self.watch.stopped:
            return self._finish(Outcome.FAILED, error=failures.budget_reached(run, self.job))
        if told := failures.told_by_provider(run, cause):
            return self._finish(Outcome.FAILED, error=told)
        if failures.died_of_memory(run, cause):
            return self._finish(Outcome.FAILED, error=failures.killed_for_memory(run))
        if cause.get("code"):
            return self._finish(Outcome.FAILED, error=failures.unexplained_exit(run, cause["code"]))
        return self._finish(Outcome.LOST, error=failures.lost(run, cause, self.job.restarts + 1))

    def _collect(self) -> bool:
        """What a distant run made is here; False while it is still on its way. What can't be brought in the end is said so there."""
        if self.watch is None:
            return True
        with held(self.lease):
            done = self.executor.collect(self.run_dir)
        if not done:
            self.watch.tell_phase("uploading")
        self.watch.look_at_cost(final=done)
        return done

    def _clean_up(self) -> None:
        """Nothing of a run that has ended stays with a provider, but what attempts share (checkpoints) while the job may be resumed.
        What can't be removed now is listed under Cloud."""
        if self.watch is None:
            return
        try:
            self.executor.clean_up(self.run_dir, over=self._is_over())
        except (AccessRefused, DomainError, OSError) as error:
            logger.warning("Job %s: what its provider holds could not be removed: %s", self.job.pk, error)

    def _is_over(self) -> bool:
        """Whether no later attempt could go on from this one: it succeeded, or failed before its first step."""
        return self.job.status == Status.SUCCEEDED or (self.job.is_finished and not self.job.progress.get("step"))

    def _finish(self, outcome: Outcome, *, event: dict[str, Any] | None = None, error: dict[str, Any] | None = None) -> bool:
        with held(self.lease):
            self.sharing.complete(rows_like=None if outcome is Outcome.SUCCEEDED else self.job.dataset.directory)
        finish_job(job=self.job, lease=self.lease, outcome=outcome, event=event, error=error)
        pack_metrics(job=self.job, to_the_end=True)
        return True


def _behind_line(file: Path, offset: int) -> int:
    with open(file, "rb") as events:
        events.seek(offset)
        events.readline()
        return events.tell()
