"""The settings page of what one's new jobs begin with."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.person import person
from finetune.core.errors import DomainError
from finetune.core.pages import refuse, render_page
from training.default_forms import JobDefaultsForm
from training.job_defaults import defaults_of
from training.services.save_job_defaults import save_job_defaults


@require_http_methods(["GET", "POST"])
def job_defaults(request: HttpRequest) -> HttpResponse:
    owner = person(request)
    form = JobDefaultsForm(request.POST or None, owner=owner, stored=defaults_of(owner))
    if request.method == "POST" and form.is_valid():
        try:
            save_job_defaults(owner=owner, **form.values())
        except DomainError as error:
            refuse(form, error)
        else:
            messages.success(request, "Saved: the form of a new training begins with these.")
            return redirect("settings-new-jobs")
    return render_page(request, "training/defaults.html", {"form": form}, status=422 if request.method == "POST" else 200)
