"""What a run without any disturbance gives, and whether one that was disturbed gave the very same."""

from __future__ import annotations

import os
from typing import Any

from tests.chaos.installation import CONFIG, Installation
from tests.ops.launched import wait_until

ALL = os.environ.get("CHAOS") == "all"


def reference(here: Installation, undisturbed: dict[str, Any]) -> dict[str, Any]:
    if not undisturbed:
        pk = here.start_job()
        assert here.ended(pk)["status"] == "succeeded"
        undisturbed |= result(here, pk)
    return undisturbed


def result(here: Installation, pk: int) -> dict[str, Any]:
    """What must be the same whatever happened: every point of both curves, in order, and the weights."""
    points = here.ask("GET", f"/api/training/{pk}/metrics?max_points=100000")["points"]
    train = [
        (point["step"], point["values"]["loss"], point["values"]["grad_norm"]) for point in points if point["split"] == "train"
    ]
    evaluated = [(point["step"], point["values"]["eval_loss"]) for point in points if point["split"] == "eval"]
    events = here.ask("GET", f"/api/training/{pk}/events?kind=log")["events"]
    digests = {event["details"]["sha256"] for event in events if event.get("details", {}).get("sha256")}
    return {"train": train, "eval": evaluated, "digests": digests}


def check_all(here: Installation, jobs: list[int], expected: dict[str, Any]) -> None:
    """Each of them, once the last has ended: until then there rightly is an engine."""
    for pk in jobs:
        here.ended(pk)
    for pk in jobs:
        check(here, pk, expected)


def check(here: Installation, pk: int, expected: dict[str, Any]) -> None:
    job = here.ended(pk)
    assert job["status"] == "succeeded", job
    found = result(here, pk)
    assert [step for step, *_ in found["train"]] == list(range(1, CONFIG["max_steps"] + 1))
    assert found == expected
    versions = [model for model in here.ask("GET", "/api/models?kind=fine_tuned&page_size=200")["results"] if model["job"] == pk]
    assert [model["id"] for model in versions] == [job["output_model_id"]]
    wait_until(lambda: here.engines() == [], 20, "no engine is left")
    assert not list(here.run(pk).path.rglob(".staging-*"))
