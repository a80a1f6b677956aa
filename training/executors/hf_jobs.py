"""Hugging Face Jobs: a private repository holds the run's files, a Job trains in it, its log carries the events."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.core import hub_buckets, hub_jobs, hub_runs
from finetune.core.errors import Invalid
from finetune.core.hub_jobs import HubJob
from training import prices
from training.executors import Capabilities, Orphan, State, parcel, placement, receipt
from training.executors.accounts import HubAccount, as_owner, hub_account, hub_reason, settings_page
from training.executors.hub_run import HubRun, buckets_of, exit_cause, forget_buckets
from training.executors.joblog import LogReader
from training.executors.jobmetrics import MetricsReader

MOUNT = "/aift"
NAME = "Hugging Face Jobs"
ASK_SECONDS = 2.0  # between questions to the Hub about one Job


class HfJobs:
    """The executor; one object follows one run, so it keeps what it has just asked."""

    is_here = False
    poll_seconds = 0.5
    patience = 10.0
    first_phase = "starting"

    def __init__(self) -> None:
        self._seen: tuple[float, HubJob | None] = (0.0, None)
        self._log: LogReader | None = None
        self._metrics: MetricsReader | None = None

    def capabilities(self, user: Any = None) -> Capabilities:
        reason = hub_reason(user)
        words = "Runs in your Hugging Face account, ends by itself, billed by the second."
        return Capabilities(NAME, words, not reason, reason, prices.hardware("hf_jobs"), settings_page() if reason else "")

    def preflight(self, run_dir: Path) -> None:
        placed = placement.read(run_dir)
        if placed.hardware not in {item.id for item in prices.hardware("hf_jobs")}:
            raise Invalid(f"Hugging Face Jobs have no hardware “{placed.hardware}”.", fields={"hardware": ["Choose another one."]})
        hub_account(placed.owner)

    def submit(self, run_dir: Path) -> None:
        run = HubRun.of(run_dir)
        if self._find(run) is None:
            run.upload()
        mounts, state = run.bring_bucket()
        with as_owner(run.account):
            job = hub_jobs.start_job(
                namespace=run.account.namespace, run_key=run.placement.key, image=settings.CLOUD_IMAGE,
                command=["python", f"{MOUNT}/{parcel.BOOTSTRAP}", "job"], flavor=run.placement.hardware,
                timeout_seconds=run.placement.timeout_seconds, environment={"AIFT_RUN_REPO": run.repo, "PYTHONUNBUFFERED": "1", **state},
                secrets={"HF_TOKEN": run.account.token}, token=run.account.token,
                volumes=[{"type": "dataset", "source": run.repo, "mount_path": MOUNT, "read_only": True}, *mounts],
            )  # fmt: skip
        receipt.write(run_dir, id=job.id, url=job.url)

    def is_submitted(self, run_dir: Path) -> bool:
        if receipt.read(run_dir):
            return True
        if not (run_dir / placement.FILE).exists():
            return False
        job = self._find(HubRun.of(run_dir))
        if job:
            receipt.write(run_dir, id=job.id, url=job.url)
        return job is not None

    def inspect(self, run_dir: Path) -> State:
        job = self._job(run_dir)
        if job is None:
            return State(False)
        return State(not job.over, "starting" if job.stage == "SCHEDULING" else "", job.url, job.running_seconds)

    def is_alive(self, run_dir: Path) -> bool:
        return self.inspect(run_dir).alive

    def sync(self, run_dir: Path) -> None:
        job = self._job(run_dir)
        if job is None or job.stage == "SCHEDULING":
            return
        if self._log is None:
            self._log = LogReader(run_dir, lambda: _open_log(run_dir, job.id))
        self._log.sync()
        if job.over:
            self._log.drain()
            return
        if self._metrics is None:
            self._metrics = MetricsReader(job.flavor, lambda: _open_metrics(run_dir, job.id))
        self._metrics.sync()

    def devices(self, run_dir: Path) -> list[dict[str, Any]]:
        return self._metrics.take() if self._metrics else []

    def ask_to_stop(self, run_dir: Path) -> None:
        if receipt.read(run_dir):
            HubRun.of(run_dir).leave_word_to_stop()

    def stop(self, run_dir: Path, *, force: bool = False) -> None:
        """There is no gentle signal: it is cancelled when that is forced, else it has its time to come to an end."""
        told = receipt.read(run_dir)
        if told and force:
            run = HubRun.of(run_dir)
            with as_owner(run.account):
                hub_jobs.cancel_job(run.account.namespace, told["id"], token=run.account.token)
            self._seen = (0.0, None)

    def exit_cause(self, run_dir: Path) -> dict[str, Any]:
        if cause := exit_cause(run_dir):
            return cause
        job = self._seen[1]
        if job is None or not job.over:
            return {}
        if "timeout" in job.message.lower():
            return {"timed_out": True}
        return {"provider": job.message or job.stage.lower()}

    def collect(self, run_dir: Path) -> bool:
        job = self._job(run_dir)
        return HubRun.of(run_dir).collect(over=job is None or job.over)

    def clean_up(self, run_dir: Path, *, over: bool = True) -> None:
        run = HubRun.of(run_dir)
        self.stop(run_dir, force=True) if self.is_alive(run_dir) else None
        if run.placement.keep:
            return
        run.delete()
        if over:
            run.delete_bucket()

    def forget(self, owner_id: int, job_ids: Collection[int]) -> None:
        forget_buckets(owner_id, job_ids)

    def list_orphans(self, user: Any) -> list[Orphan]:
        account = hub_account(user.pk)
        with as_owner(account):
            jobs = hub_jobs.list_jobs(account.namespace, token=account.token)
            prefix = f"{placement.PREFIX}-{placement.installation()}-"
            repos = hub_runs.list_repos(account.namespace, prefix, token=account.token, kind="dataset")
        buckets = buckets_of(account)
        found = [Orphan(job.id, job.run_key, "Job", True, job.flavor, job.url, job.running_seconds) for job in jobs]
        found += [Orphan(repo, repo.split("/")[-1], "repository", False) for repo in repos]
        return found + [Orphan(name, name.split("/")[-1], "bucket", False) for name in buckets]

    def remove_orphan(self, user: Any, orphan: Orphan) -> None:
        account = hub_account(user.pk)
        with as_owner(account):
            if orphan.what == "Job":
                hub_jobs.cancel_job(account.namespace, orphan.id, token=account.token)
            elif orphan.what == "bucket":
                hub_buckets.delete_bucket(orphan.id, token=account.token)
            else:
                hub_runs.delete_repo(orphan.id, token=account.token)

    def _find(self, run: HubRun) -> HubJob | None:
        with as_owner(run.account):
            return hub_jobs.find_job(run.account.namespace, run.placement.key, token=run.account.token)

    def _job(self, run_dir: Path) -> HubJob | None:
        """The Job as it was a moment ago; None when there is none (any more)."""
        told, (asked, job) = receipt.read(run_dir), self._seen
        if told is None:
            return None
        if job is not None and (job.over or time.monotonic() - asked < ASK_SECONDS):
            return job
        account: HubAccount = hub_account(_owner(run_dir))
        try:
            with as_owner(account):
                job = hub_jobs.inspect_job(account.namespace, told["id"], token=account.token)
        except Invalid:
            job = None
        self._seen = (time.monotonic(), job)
        return job


def _owner(run_dir: Path) -> int:
    return placement.read(run_dir).owner


def _open_log(run_dir: Path, job_id: str) -> Iterator[str]:
    account = hub_account(_owner(run_dir))
    return hub_jobs.follow_log(account.namespace, job_id, token=account.token)


def _open_metrics(run_dir: Path, job_id: str) -> Iterator[dict[str, Any]]:
    account = hub_account(_owner(run_dir))
    return hub_jobs.follow_metrics(account.namespace, job_id, token=account.token)
