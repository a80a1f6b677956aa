"""Hugging Face Spaces: a private Docker Space for each run trains; its files are in a private repository, its events are asked for.

Nothing is pushed to us, so a server that nobody can reach from outside works. The Space pauses itself when it is done; we pause it
whatever happens: when the run has ended, when its time is up, when it stops answering.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.core import hub_runs, hub_spaces
from finetune.core.errors import DomainError, Forbidden, Invalid, Unavailable
from finetune.core.hub_spaces import HubSpace
from training import prices
from training.engine.rundir import write_atomic
from training.executors import Capabilities, Orphan, State, parcel, placement, receipt
from training.executors.accounts import as_owner, hub_account, hub_reason, settings_page
from training.executors.hub_run import HubRun, exit_cause, forget_buckets
from training.executors.mirror import Mirror

NAME = "Hugging Face Spaces"
ASK_SECONDS = 2.0
HEARTBEAT_SECONDS = 300.0  # a Space that runs and does not answer for so long is paused
LOG_SECONDS = 15.0  # between looks at the provider's log
CHUNK = 1 << 20  # a Space gives out at most so many bytes at once
LOG_FILE, CLOCK_FILE = "provider.log", "space.json"
DOCKERFILE = """FROM {image}
RUN useradd --create-home --uid 1000 user
WORKDIR /home/user/app
COPY --chown=user code code
RUN pip install --no-cache-dir {torch} && pip install --no-cache-dir -r code/training/engine/requirements.txt -r code/training/engine/remote/requirements.txt
USER user
ENV HOME=/home/user PYTHONUNBUFFERED=1
EXPOSE 7860
CMD ["python", "code/training/engine/remote/bootstrap.py", "space"]
"""
README = """---
title: {key}
emoji: 🏋️
sdk: docker
app_port: 7860
startup_duration_timeout: 30m
---
One fine-tuning run of AiFineTune. It pauses itself when it is done.
"""


@dataclass
class _Clock:
    """Our own clock of what is billed: from the first sight of APP_STARTING or RUNNING to the last."""

    begun: float = 0.0
    seen: float = 0.0


class HfSpaces:
    """The executor; one object follows one run, so it keeps what it has just asked."""

    is_here = False
    poll_seconds = 0.5
    patience = 10.0
    first_phase = "building"

    def __init__(self) -> None:
        self._seen: tuple[float, HubSpace | None] = (0.0, None)
        self._answered = time.monotonic()
        self._logged = 0.0
        self._phase = ""
        self._error = ""
        self._done = False

    def capabilities(self, user: Any = None) -> Capabilities:
        reason = hub_reason(user)
        words = "A private Space in your Hugging Face account, paused when the run has ended; billed by the minute."
        return Capabilities(NAME, words, not reason, reason, prices.hardware("hf_spaces"), settings_page() if reason else "")

    def preflight(self, run_dir: Path) -> None:
        placed = placement.read(run_dir)
        if placed.hardware not in {item.id for item in prices.hardware("hf_spaces")}:
            raise Invalid(f"Spaces have no hardware “{placed.hardware}”.", fields={"hardware": ["Choose another one."]})
        hub_account(placed.owner)

    def submit(self, run_dir: Path) -> None:
        run = HubRun.of(run_dir)
        if not self._exists(run):
            run.upload()
        with as_owner(run.account):
            self._create(run)
        receipt.write(run_dir, id=run.repo, url=f"{settings.HF_ENDPOINT}/spaces/{run.repo}")

    def is_submitted(self, run_dir: Path) -> bool:
        return receipt.read(run_dir) is not None  # a Space has our key for its name, so making it again finds it

    def inspect(self, run_dir: Path) -> State:
        space = self._space(run_dir)
        if space is None:
            return State(False, billed_seconds=self._billed(run_dir, None))
        alive = not self._done and space.stage not in hub_spaces.OVER and not self._is_silent(run_dir, space)
        phase = self._phase_of(space)
        return State(alive, phase, space.url, self._billed(run_dir, space))

    def is_alive(self, run_dir: Path) -> bool:
        return self.inspect(run_dir).alive

    def sync(self, run_dir: Path) -> None:
        space = self._space(run_dir)
        if space is None:
            return
        self._bring_log(run_dir, space)
        if not space.stage.startswith("RUNNING"):
            return
        run, mirror = HubRun.of(run_dir), Mirror(run_dir)
        with suppress(Unavailable, ValueError):  # it is not up yet, or is being moved: `_is_silent` knows when that is too long
            told = json.loads(self._ask(run, space, "/").body)
            self._answered, self._phase, self._error = time.monotonic(), str(told.get("phase") or ""), str(told.get("error") or "")
            more = True
            while more:
                answer = self._ask(run, space, f"/events?offset={mirror.offset}&incarnation={mirror.incarnation}")
                mirror.take(answer.headers["x-incarnation"], int(answer.headers["x-offset"]), answer.body)
                more = len(answer.body) >= CHUNK
            self._done = told.get("exit_code") is not None or bool(self._error)

    def devices(self, run_dir: Path) -> list[dict[str, Any]]:
        return []  # nobody tells

    def ask_to_stop(self, run_dir: Path) -> None:
        if receipt.read(run_dir) is None:
            return
        run, space = HubRun.of(run_dir), self._space(run_dir)
        try:
            self._ask(run, space, "/cancel", post=True) if space else None
        except Unavailable:  # it reads the repository too
            run.leave_word_to_stop()

    def stop(self, run_dir: Path, *, force: bool = False) -> None:
        """There is no gentle signal: it is paused when that is forced, else it has its time to come to an end."""
        if force and receipt.read(run_dir):
            self._pause(HubRun.of(run_dir))

    def exit_cause(self, run_dir: Path) -> dict[str, Any]:
        if cause := exit_cause(run_dir):
            return cause
        space = self._seen[1]
        if space is None:
            return {"provider": "the Space is gone"} if receipt.read(run_dir) else {}
        if space.stage in hub_spaces.BROKEN:
            return {"build_failed": space.message or space.stage.replace("_", " ").lower()}
        return {"provider": self._error or space.message or space.stage.replace("_", " ").lower()}

    def collect(self, run_dir: Path) -> bool:
        space, run = self._space(run_dir), HubRun.of(run_dir)
        over = space is None or space.stage in hub_spaces.OVER or self._is_silent(run_dir, space) or bool(self._error)
        if not run.collect(over=over):
            return False
        if space and space.stage.startswith("RUNNING"):
            with suppress(DomainError):  # it pauses by itself after a while, and `clean_up` pauses it now
                self._ask(run, space, "/collected", post=True)
        return True

    def clean_up(self, run_dir: Path, *, over: bool = True) -> None:
        if receipt.read(run_dir) is None and not (run_dir / placement.FILE).exists():
            return
        run = HubRun.of(run_dir)
        if run.placement.keep:
            self._pause(run)
            return
        with as_owner(run.account):
            hub_runs.delete_repo(run.repo, token=run.account.token, kind="space")
        run.delete()
        if over:
            run.delete_bucket()

    def forget(self, owner_id: int, job_ids: Collection[int]) -> None:
        forget_buckets(owner_id, job_ids)

    def list_orphans(self, user: Any) -> list[Orphan]:
        account = hub_account(user.pk)
        prefix = f"{placement.PREFIX}-{placement.installation()}-"
        with as_owner(account):
            names = hub_runs.list_repos(account.namespace, prefix, token=account.token, kind="space")
            spaces = [hub_spaces.inspect_space(name, token=account.token) for name in names]
        return [_held(space) for space in spaces]

    def remove_orphan(self, user: Any, orphan: Orphan) -> None:
        account = hub_account(user.pk)
        with as_owner(account):
            hub_runs.delete_repo(orphan.id, token=account.token, kind="space")

    # --- The Space ----------------------------------------------------------------------------------

    def _create(self, run: HubRun) -> None:
        requirements = (parcel.ROOT / "training/engine/requirements.txt").read_text().splitlines()
        torch = next(line for line in requirements if line.startswith("torch=="))
        files = parcel.code_files() | {
            "Dockerfile": DOCKERFILE.format(image=settings.CLOUD_IMAGE, torch=torch).encode(),
            "README.md": README.format(key=run.placement.key).encode(),
        }
        mounts, state = run.bring_bucket()
        hub_spaces.create_space(
            run.repo, files, volumes=mounts, hardware=run.placement.hardware, token=run.account.token, sleep_seconds=run.placement.timeout_seconds,
            secrets={"HF_TOKEN": run.account.token, "AIFT_RUN_KEY": placement.run_secret(run.placement.key)},
            variables={"AIFT_RUN_REPO": run.repo, **state},
        )  # fmt: skip

    def _exists(self, run: HubRun) -> bool:
        with as_owner(run.account):
            return hub_runs.exists(run.repo, token=run.account.token, kind="space")

    def _space(self, run_dir: Path) -> HubSpace | None:
        """The Space as it was a moment ago; None when there is none (any more)."""
        asked, space = self._seen
        if receipt.read(run_dir) is None:
            return None
        if space is not None and time.monotonic() - asked < ASK_SECONDS:
            return space
        run = HubRun.of(run_dir)
        try:
            with as_owner(run.account):
                space = hub_spaces.inspect_space(run.repo, token=run.account.token)
        except Invalid:
            space = None
        self._seen = (time.monotonic(), space)
        return space

    def _ask(self, run: HubRun, space: HubSpace, path: str, *, post: bool = False) -> hub_spaces.Answer:
        key = placement.run_secret(run.placement.key)
        with as_owner(run.account):
            return hub_spaces.ask(space.host, path, key=key, token=run.account.token, post=post)

    def _pause(self, run: HubRun) -> None:
        with as_owner(run.account):
            hub_spaces.pause_space(run.repo, token=run.account.token)
        self._seen = (0.0, None)

    def _is_silent(self, run_dir: Path, space: HubSpace) -> bool:
        """Whether it runs and bills but does not answer, or has run for longer than it may; then it is paused here and now."""
        clock = self._clock(run_dir)
        too_long = clock.begun and time.time() - clock.begun > placement.read(run_dir).timeout_seconds
        if space.stage.startswith("RUNNING") and (time.monotonic() - self._answered > HEARTBEAT_SECONDS or too_long):
            self._error = "its time was up" if too_long else "it did not answer any more"
            self._pause(HubRun.of(run_dir))
            return True
        return False

    def _phase_of(self, space: HubSpace) -> str:
        if space.stage in ("NO_APP_FILE", "BUILDING", "RUNNING_BUILDING"):
            return "building"
        if "STARTING" in space.stage:
            return "starting"
        return "uploading" if self._phase == "uploading" else ""

    def _clock(self, run_dir: Path) -> _Clock:
        try:
            return _Clock(**json.loads((run_dir / CLOCK_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return _Clock()

    def _billed(self, run_dir: Path, space: HubSpace | None) -> float:
        """Spaces don't tell what they cost: counted from when it was first seen starting, while it is seen doing so or running."""
        clock = self._clock(run_dir)
        if space and (space.stage.startswith("RUNNING") or "STARTING" in space.stage):
            now = time.time()
            clock = _Clock(clock.begun or now, now)
            write_atomic(run_dir / CLOCK_FILE, json.dumps(asdict(clock)))
        return clock.seen - clock.begun

    def _bring_log(self, run_dir: Path, space: HubSpace) -> None:
        """The Hub's own log of the build, or of the container: as a whole, now and then."""
        if time.monotonic() - self._logged < LOG_SECONDS and space.stage not in hub_spaces.BROKEN:
            return
        self._logged = time.monotonic()
        run = HubRun.of(run_dir)
        building = "BUILD" in space.stage
        try:
            with as_owner(run.account):
                lines = (hub_spaces.build_log if building else hub_spaces.run_log)(run.repo, token=run.account.token)
        except (DomainError, Forbidden):
            return
        write_atomic(run_dir / LOG_FILE, "".join(f"{line}\n" for line in lines))


def _held(space: HubSpace) -> Orphan:
    """The Hub tells no start, and each attempt has a Space of its own: it can't have run for longer than it exists."""
    running = space.stage not in hub_spaces.OVER
    seconds = None if space.created is None or not running else max(0.0, time.time() - space.created)
    note = "counted from when the Space was made, building it included"
    return Orphan(space.repo_id, space.repo_id.split("/")[-1], "Space", running, space.hardware, space.url, seconds, note)
