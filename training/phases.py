"""The stations of a run, in the order it passes them: what its page shows above the bar. A distant run has more of them."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = {
    "building": "Build container",
    "starting": "Wait for machine",
    "pulling": "Fetch files",
    "preparing": "Prepare",
    "training": "Train",
    "uploading": "Bring home",
}
HERE = ("preparing", "training")
STATIONS = {
    "hf_jobs": ("starting", "pulling", *HERE, "uploading"),
    "hf_spaces": ("building", "starting", "pulling", *HERE, "uploading"),
    "modal": ("building", "starting", "pulling", *HERE, "uploading"),
}


@dataclass(frozen=True)
class Station:
    """One of them. `state` is done, now or later; the page's script moves it along by `value`."""

    value: str
    words: str
    state: str


def stations(executor: str, status: str, phase: str) -> list[Station]:
    """Those of a run there. What happens inside the training (evaluating, saving) counts as it. Once a job has succeeded all are
    done; one that ended otherwise shows none as the present one."""
    names = STATIONS.get(executor, HERE)
    at = len(names) if status == "succeeded" else names.index(station_of(phase)) if station_of(phase) in names else -1
    return [Station(name, WORDS[name], _state(place, at)) for place, name in enumerate(names)]


def station_of(phase: str) -> str:
    return "training" if phase in ("evaluating", "saving", "exporting") else phase


def _state(place: int, at: int) -> str:
    return "done" if place < at else "now" if place == at else "later"
