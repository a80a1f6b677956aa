"""The stations of a run elsewhere, in the order it passes them, from what its executor does first: what its page shows above the bar."""

from __future__ import annotations

from dataclasses import dataclass

from training import executors

WORDS = {  # in their order
    "building": "Build container",
    "starting": "Wait for machine",
    "pulling": "Fetch files",
    "preparing": "Prepare",
    "training": "Train",
    "uploading": "Bring home",
}


@dataclass(frozen=True)
class Station:
    """One of them. `state` is done, now or later; the page's script moves it along by `value`."""

    value: str
    words: str
    state: str


def stations(executor: str, status: str, phase: str) -> list[Station]:
    """Those of a run there, none for one on this machine. What happens inside the training (evaluating, saving) counts as it. Once a
    job has succeeded all are done; one that ended otherwise shows none as the present one."""
    first, order = executors.load(executor).first_phase, list(WORDS)
    names = order[order.index(first) :] if first else []
    at = len(names) if status == "succeeded" else names.index(station_of(phase)) if station_of(phase) in names else -1
    return [Station(name, WORDS[name], _state(place, at)) for place, name in enumerate(names)]


def station_of(phase: str) -> str:
    return "training" if phase in ("evaluating", "saving", "exporting") else phase


def _state(place: int, at: int) -> str:
    return "done" if place < at else "now" if place == at else "later"
