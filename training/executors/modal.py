"""Modal: a volume holds the run's files, a Sandbox trains, its output carries the events."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.models import Credential
from finetune.core import crypto, modal_runs
from finetune.core.errors import DomainError, Forbidden, Invalid, Unavailable
from finetune.core.modal_runs import Tokens
from training import prices
from training.engine.rundir import write_atomic
from training.executors import AccessRefused, Capabilities, Orphan, State, parcel, placement, receipt
from training.executors.accounts import settings_page, stored_token_of
from training.executors.hub_run import MASKS, STAGING, accept, exit_cause
from training.executors.joblog import LogReader
from training.executors.mirror import Mirror
from training.price_list import MODAL_CORES, MODAL_MEMORY_GIB

logger = logging.getLogger(__name__)
NAME, SANDBOX = "Modal", "Sandbox"
NO_TOKENS = "Save your Modal token id and secret in your settings."
ASK_SECONDS = 2.0
LEASE_SECONDS, RENEW_SECONDS = 3600.0, 900.0
SUBMIT_WAITS = (2.0, 5.0, 10.0)  # before a submit that Modal could not take is tried again
CLOCK_FILE = "sandbox.json"


class Modal:
    """The executor; one object follows one run, so it keeps what it has just asked."""

    is_here = False
    poll_seconds = 0.5
    patience = 10.0
    first_phase = "building"

    def __init__(self) -> None:
        self._seen: tuple[float, int | None] = (0.0, None)
        self._log: LogReader | None = None
        self._renewed = time.monotonic()

    def capabilities(self, user: Any = None) -> Capabilities:
        reason = _reason(user)
        words = "Runs in your Modal workspace, billed by the second, ends by itself when nobody follows it any more."
        return Capabilities(NAME, words, not reason, reason, prices.hardware("modal"), settings_page() if reason else "")

    def preflight(self, run_dir: Path) -> None:
        placed = placement.read(run_dir)
        if prices.find_hardware("modal", placed.hardware) is None:
            raise Invalid(f"Modal has no hardware “{placed.hardware}”.", fields={"hardware": ["Choose another one."]})
        _tokens(placed.owner)

    def submit(self, run_dir: Path) -> None:
        """Modal is asked again when it stumbles: what it did take is found by its tag. What it then still has none of is no passing trouble."""
        for wait in SUBMIT_WAITS:
            try:
                return self._submit(run_dir)
            except Unavailable as error:
                logger.warning("Modal did not take the run, again in %s s: %s", wait, error)
                time.sleep(wait)
        try:
            self._submit(run_dir)
        except Unavailable as error:
            if error.code == modal_runs.EXHAUSTED:
                raise Forbidden(error.message, code="no_credit") from None
            raise

    def _submit(self, run_dir: Path) -> None:
        placed = placement.read(run_dir)
        tokens, count = _tokens(placed.owner), _gpus(placed.hardware)
        with _as_owner():
            if modal_runs.find(placed.key, tokens=tokens) is None:
                files = parcel.code_files() | parcel.run_files(run_dir, placed) | _lease()
                modal_runs.upload(placed.key, files, tokens=tokens)
            hub = stored_token_of(placed.owner)
            box = modal_runs.start(
                placed.key, command=["python", f"{modal_runs.MOUNT}/{parcel.BOOTSTRAP}", "sandbox"], gpu=placed.hardware,
                cores=MODAL_CORES * count, memory_mib=MODAL_MEMORY_GIB * 1024 * count, timeout_seconds=placed.timeout_seconds, image=settings.CLOUD_IMAGE, packages=_packages(), tokens=tokens,
                environment={"AIFT_ROOT": modal_runs.MOUNT, "AIFT_HUB_CACHE": modal_runs.CACHE_MOUNT, "PYTHONUNBUFFERED": "1"},
                secrets={"HF_TOKEN": hub} if hub else {},
            )  # fmt: skip
        _remember(run_dir, box.id)

    def is_submitted(self, run_dir: Path) -> bool:
        if receipt.read(run_dir):
            return True
        if not (run_dir / placement.FILE).exists():
            return False
        placed = placement.read(run_dir)
        with _as_owner():
            box = modal_runs.find(placed.key, tokens=_tokens(placed.owner))
        if box:
            _remember(run_dir, box.id)
        return box is not None

    def inspect(self, run_dir: Path) -> State:
        told = receipt.read(run_dir)
        if told is None:
            return State(False)
        code = self._code(run_dir)
        mirror = self._log.mirror if self._log else Mirror(run_dir)
        silent = code is None and not mirror.incarnation  # its runner has not said a word yet
        return State(code is None, "starting" if silent else "", told["url"], _billed(run_dir, over=code is not None))

    def is_alive(self, run_dir: Path) -> bool:
        return self.inspect(run_dir).alive

    def sync(self, run_dir: Path) -> None:
        told = receipt.read(run_dir)
        if told is None:
            return
        if self._log is None:
            self._log = LogReader(run_dir, lambda: _open_output(run_dir, told["id"]))
        self._log.sync()
        if self._code(run_dir) is not None:
            self._log.drain()
        elif time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            self._write(run_dir, _lease())

    def devices(self, run_dir: Path) -> list[dict[str, Any]]:
        return []  # nobody tells

    def ask_to_stop(self, run_dir: Path) -> None:
        if receipt.read(run_dir) and self._code(run_dir) is None:
            self._write(run_dir, {f"{parcel.RUN}/cancel": b"stop\n"})

    def stop(self, run_dir: Path, *, force: bool = False) -> None:
        """There is no gentle signal: it is terminated when that is forced, else it has its time to come to an end."""
        told = receipt.read(run_dir)
        if told and force:
            with _as_owner():
                modal_runs.terminate(told["id"], tokens=_tokens(placement.read(run_dir).owner))
            self._seen = (0.0, None)

    def exit_cause(self, run_dir: Path) -> dict[str, Any]:
        if cause := exit_cause(run_dir):
            return cause
        code = self._seen[1]
        if code == modal_runs.TIMED_OUT:
            return {"timed_out": True}
        return {} if code is None else {"provider": f"exit code {code}"}

    def collect(self, run_dir: Path) -> bool:
        placed = placement.read(run_dir)
        tokens = _tokens(placed.owner)
        with _as_owner():
            try:
                listed = modal_runs.list_files(placed.key, tokens=tokens)
            except Invalid:  # the volume is gone
                listed = []
            if f"{parcel.RUN}/exit.json" not in listed and self._code(run_dir) is None:
                return False
            staging = run_dir / STAGING
            if listed:
                modal_runs.download(placed.key, _wanted, staging, tokens=tokens)
        accept(run_dir, staging / parcel.RUN)
        shutil.rmtree(staging, ignore_errors=True)
        return True

    def clean_up(self, run_dir: Path, *, over: bool = True) -> None:
        placed = placement.read(run_dir)
        if receipt.read(run_dir) and self._code(run_dir) is None:
            self.stop(run_dir, force=True)
        if not placed.keep:
            with _as_owner():
                modal_runs.delete_volume(placed.key, tokens=_tokens(placed.owner))

    def forget(self, owner_id: int, job_ids: Collection[int]) -> None:
        """Each attempt has a volume of its own."""

    def list_orphans(self, user: Any) -> list[Orphan]:
        """Running Sandboxes, and the volumes of runs: those that were to be kept, and those a crash left behind."""
        tokens = _tokens(user.pk)
        with _as_owner():
            boxes = modal_runs.list_boxes(tokens=tokens)
            volumes = modal_runs.list_volumes(f"{placement.PREFIX}-{placement.installation()}-", tokens=tokens)
        found = [_held(box) for box in boxes if placement.parse_key(box.run_key)]
        return found + [Orphan(name, name, "volume", False) for name in volumes if placement.parse_key(name)]

    def remove_orphan(self, user: Any, orphan: Orphan) -> None:
        with _as_owner():
            if orphan.what == SANDBOX:
                modal_runs.terminate(orphan.id, tokens=_tokens(user.pk))
            modal_runs.delete_volume(orphan.run_key, tokens=_tokens(user.pk))

    def _write(self, run_dir: Path, files: parcel.Files) -> None:
        placed, told = placement.read(run_dir), receipt.read(run_dir)
        assert told
        with _as_owner():
            modal_runs.write(placed.key, told["id"], files, tokens=_tokens(placed.owner))

    def _code(self, run_dir: Path) -> int | None:
        """Its exit code as it was a moment ago."""
        told, (asked, code) = receipt.read(run_dir), self._seen
        if told is None or code is not None or time.monotonic() - asked < ASK_SECONDS:
            return code
        with _as_owner():
            try:
                code = modal_runs.inspect(told["id"], tokens=_tokens(placement.read(run_dir).owner))
            except Invalid:
                code = 1  # Modal has forgotten it
        self._seen = (time.monotonic(), code)
        return code


class _as_owner:
    """Refused tokens become AccessRefused."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Forbidden):
            raise AccessRefused(error.message) from None


def _tokens(owner_id: int) -> Tokens:
    """AccessRefused when none are stored, or none that the keys open."""
    credential = Credential.objects.filter(owner_id=owner_id, kind=Credential.Kind.MODAL).first()
    if credential is None:
        raise AccessRefused(NO_TOKENS)
    try:
        return Tokens(**json.loads(crypto.decrypt(credential.ciphertext)))
    except DomainError as error:
        raise AccessRefused(error.message) from None


def _reason(user: Any) -> str:
    credential = user and Credential.objects.filter(owner=user, kind=Credential.Kind.MODAL).first()
    if not credential:
        return NO_TOKENS
    return "" if credential.valid else "Modal no longer accepts your tokens. Save new ones in your settings."


def _held(box: modal_runs.Box) -> Orphan:
    seconds = None if box.started is None else max(0.0, time.time() - box.started)
    note = "counted from its submit, building the image included"
    return Orphan(box.id, box.run_key, SANDBOX, True, box.gpu, "https://modal.com/apps", seconds, note)


def _gpus(hardware: str) -> int:
    """`A10G:4` → 4."""
    return int(hardware.partition(":")[2] or 1)


def _remember(run_dir: Path, box_id: str) -> None:
    write_atomic(run_dir / CLOCK_FILE, json.dumps({"begun": time.time()}))
    receipt.write(run_dir, id=box_id, url="https://modal.com/apps")


def _billed(run_dir: Path, *, over: bool) -> float:
    """By our own clock, from the submit to the first sight of its end."""
    file = run_dir / CLOCK_FILE
    clock = json.loads(file.read_text())
    if over and "ended" not in clock:
        clock["ended"] = time.time()
        write_atomic(file, json.dumps(clock))
    return clock.get("ended", time.time()) - clock["begun"]


def _packages() -> list[str]:
    """The image holds exactly what the engine and its runner are pinned to."""
    engine = parcel.ROOT / "training" / "engine"
    lines = [line for name in ("requirements.txt", "remote/requirements.txt") for line in (engine / name).read_text().splitlines()]
    return [line.split(";")[0].strip() for line in lines if "==" in line and not line.startswith("#")]


def _lease() -> parcel.Files:
    return {f"{parcel.RUN}/lease": str(time.time() + LEASE_SECONDS).encode()}


def _wanted(path: str) -> bool:
    return any(fnmatch(path, f"{parcel.RUN}/{mask}") for mask in MASKS)


def _open_output(run_dir: Path, box_id: str) -> Iterator[str]:
    return modal_runs.follow_output(box_id, tokens=_tokens(placement.read(run_dir).owner))
