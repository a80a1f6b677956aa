"""Trying a checkpoint."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from finetune.core import storage
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from models_app.forms import TryForm
from training.pages.own import own_job
from training.services.try_checkpoint import BASE, try_checkpoint


@require_http_methods(["GET", "POST"])
def try_it(request: HttpRequest, pk: int, step: int) -> HttpResponse:
    """The chat over a socket; without JavaScript the form is posted, and the answer comes with the page."""
    job = own_job(request, pk)
    if request.method == "GET" and storage.checkpoint_dir(job.pk, step) is None:
        raise Http404
    form = TryForm(request.POST or None, comparable=True)
    context: dict[str, Any] = {
        "job": job,
        "step": step,
        "form": form,
        "source": f"job-{job.pk}-step-{step}",
        "name": f"Step {step}",
    }
    context["side_by_side"] = f"{reverse('side-by-side')}?source={context['source']}&source=model-{job.model_id}"
    if form.is_valid():
        try:
            context["outputs"] = [_named(output, job, step) for output in _ask(job, step, form)]
        except DomainError as error:
            refuse(form, error)
    status = 422 if form.errors else 200
    return render_page(request, "training/checkpoint.html", context, status=status)


def _ask(job: Any, step: int, form: TryForm) -> list[dict[str, Any]]:
    values = form.cleaned_data
    messages = [{"role": "user", "content": values["prompt"]}]
    if values["system"].strip():
        messages.insert(0, {"role": "system", "content": values["system"]})
    return try_checkpoint(job=job, step=step, messages=messages, params=form.params(), with_base=values["compare"])


def _named(output: dict[str, Any], job: Any, step: int) -> dict[str, Any]:
    return {**output, "name": str(job.model) if output["of"] == BASE else f"{job.name}, step {step}"}
