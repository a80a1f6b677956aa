"""What a run's own events say about it beyond its numbers: how it computed, on what, and its sample answers."""

from __future__ import annotations

from typing import Any

from finetune.core.templatetags.ui import compact
from training.models import JobEvent, TrainingJob

WAY, FUSED = "Way of computing: ", "Layers in fewer passes: "  # training.engine.fastpath says them once an attempt
MOST_SAMPLES = 400


def run_facts(job: TrainingJob) -> list[tuple[str, str]]:
    """(label, words) pairs: device, precision, trained parameters, ways of computing; only what the run has said."""
    started = started_details(job)
    facts = [("Device", started.get("device")), ("Precision", started.get("dtype"))]
    if started.get("trainable_parameters") and started.get("parameters"):
        trained, whole = started["trainable_parameters"], started["parameters"]
        facts.append(("Trained parameters", f"{compact(trained)} of {compact(whole)} ({trained / whole:.2%})"))
    facts += [(prefix.rstrip(": "), _said(job, prefix)) for prefix in (WAY, FUSED)]
    return [(label, str(words)) for label, words in facts if words]


def started_details(job: TrainingJob) -> dict[str, Any]:
    """What the newest attempt said when it began to train: device, dtype, parameters, packages, rows; {} before that."""
    found = _logs(job).filter(payload__details__has_key="trainable_parameters").values_list("payload", flat=True).first()
    return (found or {}).get("details") or {}


def differing_packages(job: TrainingJob, other: TrainingJob) -> list[tuple[str, str, str]]:
    """(package, the other's version, this job's) where the two differ; a missing one is "none"."""
    now, then = started_details(job).get("packages") or {}, started_details(other).get("packages") or {}
    names = sorted(set(now) | set(then))
    return [(name, then.get(name, "none"), now.get(name, "none")) for name in names if now.get(name) != then.get(name)]


def samples_by_prompt(job: TrainingJob) -> list[dict[str, Any]]:
    """[{prompt, newest: {step, text}, earlier: […]}] in the order the prompts came first; earlier answers newest first."""
    events = JobEvent.objects.filter(job=job, kind=JobEvent.Kind.SAMPLE).order_by("-seq").values_list("payload", flat=True)
    answers: dict[str, list[dict[str, Any]]] = {}
    for payload in events[:MOST_SAMPLES]:
        answers.setdefault(str(payload.get("prompt", "")), []).append(payload)
    found = [{"prompt": prompt, "newest": texts[0], "earlier": texts[1:]} for prompt, texts in answers.items()]
    return found[::-1]


def _said(job: TrainingJob, prefix: str) -> str:
    """What follows the prefix in the newest log line that begins with it."""
    text = _logs(job).filter(payload__text__startswith=prefix).values_list("payload__text", flat=True).first()
    return (text or "").removeprefix(prefix).rstrip(".")


def _logs(job: TrainingJob) -> Any:
    return JobEvent.objects.filter(job=job, kind=JobEvent.Kind.LOG).order_by("-seq")
