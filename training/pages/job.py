"""One job: looking at it, its files, and the devices."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from finetune.core.pages import render_page
from training import money
from training.api.serializers import job_status
from training.chart_list import LOSS, charts_for
from training.device_reports import worker_devices
from training.ended import estimate_against_actual
from training.models import TrainingJob
from training.pages.own import own_job
from training.phases import stations
from training.run_facts import differing_packages, run_facts, samples_by_prompt
from training.services.describe_run import describe_run
from training.services.list_run_files import list_checkpoints, list_run_files
from training.tracker_models import TrackerRun
from training.tracking import NAMES


@require_GET
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """One job; live.js follows it and fetches the parts that change anew, each by the id of its place."""
    found = own_job(request, pk)
    target = request.headers.get("HX-Target", "")
    if target in PARTS:
        template, context = PARTS[target]
        return render_page(request, template, {"job": found, **context(found)})
    return job_page(request, found, fragment={"job-head": "head", "job-facts": "facts"}.get(target, ""))


def job_page(request: HttpRequest, found: TrainingJob, *, status: int = 200, fragment: str = "", **more: Any) -> HttpResponse:
    """The whole page, or a part of it. `more`: a `refusal` of its start for money's sake, with the form as it was `typed`."""
    return render_page(request, "training/detail.html", _everything(found) | more, fragment=fragment, status=status)


def _everything(found: TrainingJob) -> dict[str, Any]:
    charts = charts_for(found)
    context = {
        "job": found,
        "status": job_status(found),
        "comparison": estimate_against_actual(found),
        "differing": differing_packages(found, found.reproduces) if found.reproduces and found.reproduced_exactly is False else [],
        "run_facts": run_facts(found) if found.attempt else [],
        "stations": stations(found.executor, found.status, found.phase),
        **_money(found),
        "tracker_runs": _tracker_runs(found),
    }
    if found.status == TrainingJob.Status.DRAFT:
        return context
    lines = {chart.name: [asdict(line) for line in chart.lines] for chart in [LOSS, *charts]}
    context |= {"charts": charts, "main_chart": LOSS, "chart_lines": lines, "devices": worker_devices()}
    return context | _checkpoints(found) | _samples(found)


def _money(found: TrainingJob) -> dict[str, Any]:
    """For a run at a provider that can be started: what it will cost still, and what is left of its budget."""
    if not found.hardware or found.is_active or found.status == TrainingJob.Status.SUCCEEDED:
        return {}
    return {"foreseen": money.foreseen(found), "spent": money.spent(found), "budget_left": money.budget_left(found)}


def _tracker_runs(found: TrainingJob) -> list[TrackerRun]:
    """Where its curves are sent. Those it is to be sent to and that have no row yet (it waits) are said too."""
    known = {run.kind: run for run in found.tracker_runs.all()} if found.report_to else {}  # type: ignore[attr-defined]
    runs = [known.get(kind) or TrackerRun(job=found, kind=kind) for kind in found.report_to]
    for run in runs:
        run.name = NAMES[run.kind]
    return runs


def _checkpoints(found: TrainingJob) -> dict[str, Any]:
    rows = list_checkpoints(job=found)
    losses = [row["values"]["eval_loss"] for row in rows if row["values"].get("eval_loss") is not None]
    for row in rows:
        row["best"] = bool(losses) and row["values"].get("eval_loss") == min(losses)
    return {"checkpoints": rows, "kept": sum(row["kept"] for row in rows)}


def _samples(found: TrainingJob) -> dict[str, Any]:
    return {"samples": samples_by_prompt(found)}


# Places on the page that are fetched alone.
PARTS: dict[str, tuple[str, Any]] = {
    "job-checkpoints": ("training/parts/checkpoints.html", _checkpoints),
    "job-samples": ("training/parts/samples.html", _samples),
}


@require_GET
def files(request: HttpRequest, pk: int) -> HttpResponse:
    """What the attempts have written, and the same run as a command."""
    found = own_job(request, pk)
    told, rows = describe_run(job=found), list_run_files(job=found)
    context = {
        "job": found,
        "files": rows,
        "bytes": sum(row["bytes"] for row in rows),
        "command": told["command"],
        "directory": told["command"].split()[-1],
        "spec": json.dumps(told["spec"], indent=2, ensure_ascii=False),
    }
    return render_page(request, "training/files.html", context)


@require_GET
def devices(request: HttpRequest) -> HttpResponse:
    """Every worker's devices now; htmx asks for the rows alone."""
    return render_page(request, "training/devices.html", {"devices": worker_devices()}, fragment="rows")
