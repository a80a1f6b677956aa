"""Trying a checkpoint."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from finetune.core import storage
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from models_app.forms import TryForm
from models_app.services.try_prompt import Params
from training.pages.own import own_job
from training.services.try_checkpoint import BASE, try_checkpoint


@require_http_methods(["GET", "POST"])
def try_it(request: HttpRequest, pk: int, step: int) -> HttpResponse:
    """The form, and the answer under it; htmx fetches the answer alone."""
    job = own_job(request, pk)
    if request.method == "GET" and storage.checkpoint_dir(job.pk, step) is None:
        raise Http404
    form = TryForm(request.POST or None, comparable=True)
    context: dict[str, Any] = {"job": job, "step": step, "form": form}
    if form.is_valid():
        try:
            context["outputs"] = [_named(output, job, step) for output in _ask(job, step, form.cleaned_data)]
        except DomainError as error:
            refuse(form, error)
    status = 422 if form.errors else 200
    return render_page(request, "training/checkpoint.html", context, fragment="answer", status=status)


def _ask(job: Any, step: int, values: dict[str, Any]) -> list[dict[str, Any]]:
    messages = [{"role": "user", "content": values["prompt"]}]
    if values["system"].strip():
        messages.insert(0, {"role": "system", "content": values["system"]})
    params = Params(max_new_tokens=values["max_new_tokens"], temperature=values["temperature"])
    return try_checkpoint(job=job, step=step, messages=messages, params=params, with_base=values["compare"])


def _named(output: dict[str, Any], job: Any, step: int) -> dict[str, Any]:
    return {**output, "name": str(job.model) if output["of"] == BASE else f"{job.name}, step {step}"}
