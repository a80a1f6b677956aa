"""Finding what a page is about."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from training.models import TrainingJob


def own_job(request: HttpRequest, pk: int) -> TrainingJob:
    """The visitor's job with everything a page says about it; 404 for a stranger."""
    related = ("model__base_model", "dataset", "output_model", "owner", "reproduces")
    return get_object_or_404(TrainingJob.objects.for_user(request.user).select_related(*related), pk=pk)
