"""From the engine's events to the numbers on the job's row: step, ETA, newest metrics, peak memory, phase. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Points the speed is measured over: enough to be steady, few enough to follow a change.
WINDOW = 50
# How much of a new estimate counts against the last one.
BLEND = 0.3


def advance(current: dict[str, Any], events: Iterable[dict[str, Any]], recent: list[tuple[int, float]]) -> dict[str, Any]:
    """The columns {progress, metrics, memory, phase} after these engine events.

    `current` holds them before; `recent` are (step, training seconds) points of this attempt that came before the events.
    """
    state = {name: dict(current[name]) for name in ("progress", "metrics", "memory")} | {"phase": current["phase"]}
    points = list(recent)
    for event in events:
        _HANDLERS.get(event["kind"], _ignore)(state, event, points)
    if len(points) > len(recent):
        state["progress"]["eta_seconds"] = _eta(state["progress"], points[-WINDOW:])
    return state


def _ignore(state: dict, event: dict, points: list) -> None:
    """Events that change no number."""


def _started(state: dict, event: dict, points: list) -> None:
    state["progress"] |= {
        "step": event.get("resumed_from_step") or 0,
        "total_steps": event.get("total_steps"),
        "eta_seconds": None,
    }
    _fraction(state["progress"])


def _phase(state: dict, event: dict, points: list) -> None:
    state["phase"] = str(event.get("phase", ""))[:20]


def _metric(state: dict, event: dict, points: list) -> None:
    values = {key: value for key, value in (event.get("values") or {}).items() if isinstance(value, (int, float))}
    metrics = state["metrics"]
    metrics |= values
    if event.get("split") == "eval":
        _best(metrics, values)
        return
    if "loss" in values:
        metrics.setdefault("first_loss", values["loss"])
    progress = state["progress"]
    progress |= {"step": event.get("step") or 0, "epoch": event.get("epoch")}
    progress |= {key: values[key] for key in ("tokens_per_second", "samples_per_second") if key in values}
    seconds = event.get("elapsed_seconds")
    if seconds is not None:
        progress["elapsed_seconds"] = seconds
        progress.setdefault("first_point", [progress["step"], seconds])  # its steps were slower: see training.calibration
        points.append((progress["step"], seconds))
    _fraction(progress)


def _best(metrics: dict, values: dict) -> None:
    loss = values.get("eval_loss")
    if loss is not None:
        metrics.setdefault("first_eval_loss", loss)
        metrics["best_eval_loss"] = min(loss, metrics.get("best_eval_loss", loss))


def _memory(state: dict, event: dict, points: list) -> None:
    peak = max(event.get("peak_bytes") or 0, state["memory"].get("peak_bytes") or 0)
    state["memory"] |= {"peak_bytes": peak, "device": event.get("device") or state["memory"].get("device")}


_HANDLERS = {"started": _started, "phase": _phase, "metric": _metric, "memory": _memory}


def _fraction(progress: dict) -> None:
    total = progress.get("total_steps")
    progress["fraction"] = min(1.0, (progress.get("step") or 0) / total) if total else None


def _eta(progress: dict, points: list[tuple[int, float]]) -> float | None:
    """Seconds of training left at the speed of the window, blended with the last estimate; None while it is unknown."""
    total, step = progress.get("total_steps"), progress.get("step") or 0
    if not total or len(points) < 2 or points[-1][0] <= points[0][0] or points[-1][1] < points[0][1]:
        return None
    (first_step, first_seconds), (last_step, last_seconds) = points[0], points[-1]
    estimate = max(0, total - step) * (last_seconds - first_seconds) / (last_step - first_step)
    before = progress.get("eta_seconds")
    return round(estimate if before is None else before + BLEND * (estimate - before), 2) if step < total else 0.0
