"""What providers hold of ours, and what they charge."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from finetune.core.pages import render_page
from training import executors, prices
from training.services.list_cloud_runs import list_cloud_runs
from training.services.refresh_prices import refresh_prices
from training.services.stop_cloud_run import stop_cloud_run
from training.spending import limits_and_spending


@require_GET
def cloud(request: HttpRequest) -> HttpResponse:
    """The person's runs at providers with one button each, their month, and the price table."""
    places = {name: executors.load(name).capabilities(request.user) for name in executors.remote_names()}
    context = {
        "found": list_cloud_runs(user=request.user),  # type: ignore[arg-type, misc]
        "places": places.values(),
        "price_lists": [(told.name, prices.hardware(name)) for name, told in places.items()],
        **limits_and_spending(request.user),  # type: ignore[arg-type]
    }
    return render_page(request, "training/cloud.html", context)


@require_POST
def stop(request: HttpRequest) -> HttpResponse:
    stop_cloud_run(user=request.user, executor=request.POST.get("executor", ""), held_id=request.POST.get("id", ""))  # type: ignore[arg-type, misc]
    messages.success(request, "Stopped and removed.")
    return redirect("cloud")


@require_POST
def refresh(request: HttpRequest) -> HttpResponse:
    count = refresh_prices(user=request.user)  # type: ignore[arg-type, misc]
    messages.success(request, f"{count} prices were read.")
    return redirect("cloud")
