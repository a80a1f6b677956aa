"""What a job would need everywhere it can run: this machine and every machine of every provider."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from accounts.models import User
from training import executors, money, prices
from training.device_reports import worker_devices
from training.estimates import Wanted
from training.estimator import Estimator, Range
from training.executors import Hardware
from training.refusals import refuse_unknown_choice
from training.services.estimate_job import device_at, wanted_run

# What of a job's values the answer depends on.
ASKED = ("model_id", "dataset_id", "method", "train_split", "eval_split", "config")
SEVERAL = re.compile(r"^\d+ × ")


@dataclass(frozen=True)
class MachineEstimate:
    """A run on one machine. `verdict`: fits; tight (the upper end of the estimate is more than it has); too_small (its expected need is);
    too_few (GPUs for `num_gpus`); unknown (the machine does not tell its memory). Bytes are one device's, cost is USD."""

    executor: str
    hardware: str
    verdict: str
    needed_bytes: int
    memory_bytes: int | None
    duration_seconds: Range
    cost: Range


def estimate_places(
    *,
    owner: User,
    model_id: int | None,
    dataset_id: int | None,
    method: str,
    train_split: str = "",
    eval_split: str = "",
    config: dict[str, Any] | None = None,
) -> list[MachineEstimate]:
    """An estimate for this machine (hardware "") and for each machine that providers offer, whether or not this person can use them.

    Refuses what estimate_job refuses of model, dataset, method and options.
    """
    refuse_unknown_choice(method=method, executor="local")
    wanted = wanted_run(owner, model_id, dataset_id, method, train_split, eval_split, config)
    here = Estimator(wanted, worker_devices()[0])
    known: dict[tuple[Any, ...], Estimator] = {(): here}
    found = [_said(here, "local", "", here.free, Range(0.0, 0.0))]
    for name in executors.remote_names():
        found += [_there(wanted, name, machine, known) for machine in prices.hardware(name)]
    return found


def _there(wanted: Wanted, executor: str, machine: Hardware, known: dict[tuple[Any, ...], Estimator]) -> MachineEstimate:
    """Machines with the same device are foreseen once, and finished runs are looked at once for each kind of device."""
    kind = (machine.kind, SEVERAL.sub("", machine.name), machine.memory_bytes)
    if kind not in known:
        calibration = next((one.calibration for one in known.values() if one.device.kind == machine.kind), None)
        known[kind] = Estimator(wanted, device_at(executor, machine), here=False, calibration=calibration)
    asked = known[kind]
    cost = Range(**money.estimate(executor, machine.price_per_hour, asdict(asked.duration())))
    few = wanted.config.num_gpus > (machine.count if machine.kind == "cuda" else 1)
    return _said(asked, executor, machine.id, machine.memory_bytes, cost, "too_few" if few else "")


def _said(asked: Estimator, executor: str, hardware: str, has: int | None, cost: Range, verdict: str = "") -> MachineEstimate:
    memory = asked.memory()
    verdict = verdict or _verdict(memory.expected, memory.high, has)
    return MachineEstimate(executor, hardware, verdict, memory.expected, has, asked.duration(), cost)


def _verdict(expected: int, high: int, has: int | None) -> str:
    if has is None:
        return "unknown"
    return "too_small" if expected > has else "tight" if high > has else "fits"
