"""What trackers are told of a job: names of values, options, and how a run is opened, fed and closed at each. No rows are changed here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings

from accounts.models import User
from accounts.tracker_accounts import KINDS, Tracker, connected
from finetune.core import mlflow, wandb
from training.engine.tensorboard import tagged
from training.models import TrainingJob
from training.tracker_models import TrackerRun
from training.tracker_places import place_of

NAMES = {kind.value: kind.label for kind in KINDS}
ENDS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


@dataclass(frozen=True)
class Point:
    """Values of one step: {"train/loss": …}, as transformers names them for its own reports."""

    step: int
    at: float  # seconds since 1970
    values: dict[str, float]


class Sender(Protocol):
    """One tracker. `open` says where the run is; the rest refuses with Invalid or Unavailable and may be repeated."""

    def open(self, run: TrackerRun) -> tuple[dict[str, str], str]: ...
    def send(self, run: TrackerRun, points: list[Point]) -> int: ...
    def close(self, run: TrackerRun) -> None: ...


def tracker_choices(owner: User) -> list[tuple[str, str]]:
    """(kind, name) of the trackers this person has an account at."""
    mine = connected(owner)
    return [(kind, name) for kind, name in NAMES.items() if kind in mine]


def sender_for(tracker: Tracker) -> Sender:
    return WandbSender(tracker) if tracker.kind == "wandb" else MlflowSender(tracker)


def points_of(events: list[dict[str, Any]]) -> list[Point]:
    """Metric events as points; neighbours of one step (a step and its evaluation) become one. What is no number is left out."""
    points: list[Point] = []
    for event in events:
        values = tagged(event["split"], event["values"])
        if event.get("epoch") is not None:
            values["train/epoch"] = event["epoch"]
        if points and points[-1].step == event["step"]:
            points[-1].values.update(values)
        else:
            points.append(Point(event["step"], datetime.fromisoformat(event["time"]).timestamp(), values))
    return points


def options_of(job: TrainingJob) -> dict[str, Any]:
    """What the run was made with, without paths or secrets: a job has none in its options."""
    about = {"method": job.method, "base_model": job.model.repo_id or str(job.model), "dataset": job.dataset.name}
    about |= {"dataset_hash": job.dataset.content_hash or "", "runs_on": job.executor, "hardware": job.hardware}
    return {**about, **{name: value for name, value in job.config.items() if value is not None and value != []}}


def _note(job: TrainingJob) -> str:
    return f"{settings.SITE_URL}/training/{job.pk}" if settings.SITE_URL else f"AiFineTune job {job.pk}"


class WandbSender:
    def __init__(self, tracker: Tracker):
        self.account, self.info = wandb.Account(tracker.url, tracker.secret), tracker.info

    def open(self, run: TrackerRun) -> tuple[dict[str, str], str]:
        wanted = place_of(run.job, self.info, "wandb")
        told: dict[str, Any] = {"name": run.key, "title": wanted.name, "config": options_of(run.job), "notes": _note(run.job)}
        made = wandb.open_run(self.account, entity=wanted.entity, project=wanted.project, tags=wanted.tags, **told)
        return vars(made).copy(), made.page(self.account.url)

    def send(self, run: TrackerRun, points: list[Point]) -> int:
        """How many lines of history these are."""
        started = run.job.started_at.timestamp() if run.job.started_at else points[0].at
        lines = [{**p.values, "_step": p.step, "_timestamp": p.at, "_runtime": max(0.0, p.at - started)} for p in points]
        wandb.send_points(self.account, wandb.Run(**run.place), offset=run.sent_points, points=lines, summary=lines[-1])
        return len(lines)

    def close(self, run: TrackerRun) -> None:
        wandb.close_run(self.account, wandb.Run(**run.place), succeeded=run.job.status == TrainingJob.Status.SUCCEEDED)


class MlflowSender:
    def __init__(self, tracker: Tracker):
        self.account = mlflow.Account(tracker.url, tracker.info.get("username", ""), tracker.secret)
        self.info = tracker.info

    def open(self, run: TrackerRun) -> tuple[dict[str, str], str]:
        """A run made a moment ago by a worker that died is found by its tag."""
        wanted = place_of(run.job, self.info, "mlflow")
        experiment = mlflow.find_experiment(self.account, wanted.project)
        found = mlflow.find_run(self.account, experiment, "aifinetune.run", run.key)
        if not found:
            ours = {"aifinetune.run": run.key, "mlflow.note.content": _note(run.job), "mlflow.source.name": "AiFineTune"}
            tags = dict.fromkeys(wanted.tags, "") | ours
            start = _milliseconds(run.job.started_at)
            found = mlflow.create_run(self.account, experiment, name=wanted.name, tags=tags, start=start)
        mlflow.log_params(self.account, found, options_of(run.job))
        return {"experiment": experiment, "run": found}, mlflow.page(self.account.url, experiment, found)

    def send(self, run: TrackerRun, points: list[Point]) -> int:
        told = [(name, value, p.step, int(p.at * 1000)) for p in points for name, value in p.values.items()]
        mlflow.log_metrics(self.account, run.place["run"], told)
        return len(points)

    def close(self, run: TrackerRun) -> None:
        end = _milliseconds(run.job.finished_at)
        mlflow.end_run(self.account, run.place["run"], status=ENDS.get(run.job.status, "FAILED"), end=end)


def _milliseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0
