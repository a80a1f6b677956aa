"""What Jobs and Spaces have in common: a private repository holds the run's files, there and back."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.core import hub_buckets, hub_runs, storage
from finetune.core.errors import Forbidden, Invalid, Unavailable
from training.engine import checkpoints, verify
from training.engine.output import MANIFEST
from training.engine.rundir import RunDir, read_json
from training.executors import parcel, placement
from training.executors.accounts import HubAccount, as_owner, hub_account
from training.executors.mirror import Mirror
from training.executors.placement import Placement

logger = logging.getLogger(__name__)
STAGING, STATE = ".collected", "/aift-state"
MASKS = ("output/*", "checkpoints/*", "events.jsonl", "engine.log", "incarnation", "exit.json")


@dataclass(frozen=True)
class HubRun:
    """One attempt and the account it runs in."""

    path: Path
    placement: Placement
    account: HubAccount

    @classmethod
    def of(cls, run_dir: Path) -> HubRun:
        placed = placement.read(run_dir)
        return cls(run_dir, placed, hub_account(placed.owner))

    @property
    def repo(self) -> str:
        return f"{self.account.namespace}/{self.placement.key}"

    def upload(self) -> None:
        """The run's repository, whole."""
        files = parcel.code_files() | parcel.run_files(self.path, self.placement)
        with as_owner(self.account):
            hub_runs.create_run_repo(self.repo, files, token=self.account.token)

    @property
    def bucket(self) -> str:
        """Of the job: all its attempts write there."""
        return f"{self.account.namespace}/{self.placement.shared_key}"

    def bring_bucket(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """The job's bucket, made if it is not there: (what to mount, what to tell the runner of it). Nothing where the account has no
        right to buckets: then checkpoints are in the run's repository alone."""
        try:
            hub_buckets.create_bucket(self.bucket, token=self.account.token)
        except (Forbidden, Invalid) as error:
            logger.info("Job %s goes without a bucket: %s", self.placement.job, error)
            return [], {}
        volume = {"type": "bucket", "source": self.bucket, "mount_path": STATE, "read_only": False}
        return [volume], {"AIFT_STATE": STATE, "AIFT_ATTEMPT": str(self.placement.attempt), "AIFT_SINCE": str(self.placement.since)}

    def delete_bucket(self) -> None:
        with suppress(Forbidden):  # then there is none
            hub_buckets.delete_bucket(self.bucket, token=self.account.token)

    def leave_word_to_stop(self) -> None:
        with as_owner(self.account):
            hub_runs.commit_files(self.repo, {f"{parcel.RUN}/cancel": b"stop\n"}, message="Stop", token=self.account.token)

    def collect(self, *, over: bool) -> bool:
        """Output, checkpoints and what was told come here. False while the runner, which is not `over`, is still bringing them."""
        listed = self._listed()
        if f"{parcel.RUN}/exit.json" not in listed and not over:
            return False
        staging = self.path / STAGING
        with as_owner(self.account):
            masks = [f"{parcel.RUN}/{mask}" for mask in MASKS]
            hub_runs.download_run(self.repo, masks, staging, token=self.account.token)
        accept(self.path, staging / parcel.RUN)
        shutil.rmtree(staging, ignore_errors=True)
        return True

    def delete(self) -> None:
        with as_owner(self.account):
            hub_runs.delete_repo(self.repo, token=self.account.token)

    def _listed(self) -> list[str]:
        with as_owner(self.account):
            try:
                return hub_runs.list_run_files(self.repo, token=self.account.token)
            except Invalid as error:
                if error.code == "not_on_hub":
                    return []
                raise


def buckets_of(account: HubAccount) -> list[str]:
    """Those of this installation's jobs."""
    prefix = f"{placement.PREFIX}-{placement.installation()}-"
    with as_owner(account), suppress(Forbidden, Invalid):  # a token without the right to buckets has made none
        return hub_buckets.list_buckets(account.namespace, prefix, token=account.token)
    return []


def forget_buckets(owner_id: int, job_ids: Collection[int]) -> None:
    account = hub_account(owner_id)
    wanted = {(job, 0) for job in job_ids}
    for name in buckets_of(account):
        if placement.parse_key(name.split("/")[-1]) in wanted:
            with as_owner(account):
                hub_buckets.delete_bucket(name, token=account.token)


def accept(run_dir: Path, brought: Path) -> None:
    """Put what was brought back in its place. Unavailable, and no output here, when the output is not what its manifest says."""
    if (brought / "output").exists():
        # Without a manifest there is nothing to compare with: the engine always writes one, and a commit is whole or not there.
        if (brought / "output" / MANIFEST).exists() and (problems := verify.find_problems(brought / "output")):
            raise Unavailable(f"The result did not arrive whole: {problems[0]}")
        _replace(brought / "output", run_dir / "output")
    for folder in sorted((brought / "checkpoints").glob(f"{checkpoints.PREFIX}*")):
        if checkpoints.open_checkpoint(folder):  # a torn one is no help to anybody
            (run_dir / "checkpoints").mkdir(exist_ok=True)
            _replace(folder, run_dir / "checkpoints" / folder.name)
    for name in ("engine.log", "exit.json"):
        if (brought / name).exists():
            os.replace(brought / name, run_dir / name)
    with suppress(FileNotFoundError):
        Mirror(run_dir).take((brought / "incarnation").read_text(), 0, (brought / "events.jsonl").read_bytes())


def exit_cause(run_dir: Path) -> dict[str, int]:
    """What the runner wrote when the engine had ended."""
    return read_json(RunDir(run_dir).exit_file) or {}


def _replace(source: Path, target: Path) -> None:
    if target.exists():
        storage.remove_tree(target)
    os.replace(source, target)
