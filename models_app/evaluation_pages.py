"""The pages of evaluations: begin one, watch it, read its samples, compare two."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from finetune.core.errors import DomainError
from finetune.core.pages import page_of, refuse, render_page
from finetune.core.templatetags.ui import compact, decimals, percent
from models_app.evaluation_forms import EvaluateForm
from models_app.evaluation_samples import ORDERS, ordered_samples
from models_app.models import Evaluation
from models_app.pages import find_model
from models_app.progress_words import progress_bar
from models_app.services.cancel_evaluation import cancel_evaluation
from models_app.services.compare_evaluations import compare_evaluations
from models_app.services.delete_evaluation import delete_evaluation
from models_app.services.evaluate_model import evaluate_model

# Name → label, figures, what it says, and whether more is better.
METRICS: dict[str, tuple[str, Any, str, bool]] = {
    "loss": ("Loss", decimals, "of the expected answers, per token; lower is better", False),
    "perplexity": ("Perplexity", partial(decimals, places=2), "the loss as a number of equally likely words", False),
    "exact_match": ("Exact match", percent, "the same words in the same order", True),
    "token_f1": ("Token F1", partial(decimals, places=3), "words shared with the expected answer", True),
    "rouge_l": ("ROUGE-L", partial(decimals, places=3), "shared words that are in the same order", True),
    "pattern_share": ("Expression found", percent, "answers that the regular expression is found in", True),
    "schema_share": ("Fits the schema", percent, "answers that are JSON of the schema's form", True),
    "preference_accuracy": ("Prefers the chosen", percent, "pairs whose chosen answer is likelier", True),
}


def find_evaluation(request: HttpRequest, pk: int) -> Evaluation:
    """The asker's own, or 404."""
    rows = Evaluation.objects.for_user(request.user).select_related("model__base_model", "model__produced_by", "dataset")
    return get_object_or_404(rows, pk=pk)


@require_http_methods(["GET", "POST"])
def evaluate(request: HttpRequest, pk: int) -> HttpResponse:
    model = find_model(request, pk)
    form = EvaluateForm(request.POST or None, owner=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            made = evaluate_model(model=model, **form.cleaned_data)
        except DomainError as error:
            refuse(form, error)
        else:
            return redirect("evaluation", made.pk)
    any_data = form.fields["dataset"].queryset.exists()  # type: ignore[attr-defined]
    context = {"model": model, "form": form, "rows": model.evaluations.all()[:50], "any_data": any_data}
    return render_page(request, "models/evaluate.html", context, status=422 if form.errors else 200)


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """htmx asks for the state alone while it runs."""
    evaluation = find_evaluation(request, pk)
    order = request.GET.get("order", "worst")
    others = Evaluation.objects.for_user(request.user).filter(status="done", metrics__isnull=False).exclude(pk=pk)
    context = {
        "evaluation": evaluation,
        "model": evaluation.model,
        "bar": progress_bar(evaluation.progress),
        "numbers": _numbers(evaluation.metrics),
        "order": order if order in ORDERS else "worst",
        "orders": [(name, label) for name, (label, _) in ORDERS.items()],
        "page": page_of(request, ordered_samples(evaluation, order), size=20),
        "others": others.filter(dataset_hash=evaluation.dataset_hash, split=evaluation.split).select_related("model")[:30],
        "learned": _learned_from(evaluation),
    }
    response = render_page(request, "models/evaluation.html", context, fragment="state")
    if request.htmx and not evaluation.is_active:  # type: ignore[attr-defined]
        response["HX-Refresh"] = "true"  # it has ended: now there are samples and somebody to compare with
    return response


def _numbers(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(label, words(metrics[name]), note) for name, (label, words, note, _) in METRICS.items() if name in metrics]


def _learned_from(evaluation: Evaluation) -> bool:
    """Whether the training that made the version learned from these rows."""
    job = getattr(evaluation.model, "produced_by", None)
    same = job is not None and job.dataset_id == evaluation.dataset_id
    return same and (not evaluation.split or job.train_split in ("", evaluation.split))  # type: ignore[union-attr]


@require_GET
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    first = find_evaluation(request, pk)
    number = request.GET.get("with", "")
    second = find_evaluation(request, int(number) if number.isdecimal() and len(number) < 19 else 0)
    found = compare_evaluations(first=first, second=second)
    rows = [_row(**row) for row in found["metrics"] if row["name"] in METRICS]
    page = page_of(request, found["samples"], size=20)
    context = {"a": first, "b": second, "metrics": rows, "same_rows": found["same_rows"], "page": page}
    return render_page(request, "models/evaluations_compare.html", context)


def _row(name: str, a: float | None, b: float | None, change: float | None) -> dict[str, Any]:
    label, words, _, up = METRICS[name]
    verdict = "" if not change else "better" if (change > 0) == up else "worse"
    return {"label": label, "a": words(a), "b": words(b), "change": change, "words": compact_change(change), "verdict": verdict}


def compact_change(change: float | None) -> str:
    """A difference with its sign."""
    if change == 0:
        return "same"
    return "–" if change is None else f"{change:+.3f}" if abs(change) < 1000 else f"{'+' if change > 0 else ''}{compact(change)}"


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    cancel_evaluation(evaluation=find_evaluation(request, pk))
    messages.success(request, "The evaluation was stopped.")
    return redirect("evaluation", pk)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    evaluation = find_evaluation(request, pk)
    delete_evaluation(evaluation=evaluation)
    messages.success(request, "The evaluation was deleted.")
    return redirect("model-evaluate", evaluation.model_id)
