"""Ids as OpenAI's clients carry them (`file-12`, `ftjob-5`, `model-7`) and what they stand for. A bare number is taken too."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404

from finetune.core.errors import invalid_field
from models_app.models import LanguageModel
from models_app.services.try_prompt import checkpoint_weights, weights_of
from training.models import TrainingJob

CHECKPOINT = re.compile(r"job-(\d{1,18})-step-(\d{1,18})\Z")


def number_in(ref: str, prefix: str) -> int | None:
    """12 in `file-12` and in `12`; None in anything else."""
    found = re.fullmatch(rf"(?:{prefix}-)?(\d{{1,18}})", ref, re.ASCII)
    return int(found[1]) if found else None


def find_or_404(rows: QuerySet, ref: str, prefix: str) -> Any:
    """The row an id of the path names. `rows` are the caller's own."""
    pk = number_in(ref, prefix)
    row = rows.filter(pk=pk).first() if pk is not None else None
    if row is None:
        raise Http404
    return row


def models_of(user: Any) -> QuerySet[LanguageModel]:
    """The models and versions of this person that can answer or be trained."""
    ready = LanguageModel.objects.for_user(user).filter(status=LanguageModel.Status.READY)
    return ready.select_related("base_model", "owner").order_by("-created_at", "-pk")


def find_model(user: Any, ref: str) -> LanguageModel | None:
    """By id; by the repository on the Hub; or by name: then the newest, and of a family its latest version."""
    ready = models_of(user)
    if (pk := number_in(ref, "model")) is not None:
        return ready.filter(pk=pk).first()
    return ready.filter(Q(repo_id=ref) | Q(name=ref) | Q(family=ref)).order_by("-is_latest", "-version", "-pk").first()


def find_weights(user: Any, ref: str) -> dict[str, Any]:
    """What the inference worker needs to answer as `ref`: a model, or a checkpoint (`job-5-step-40`). Invalid, naming `model`."""
    if found := CHECKPOINT.match(ref):
        job = TrainingJob.objects.for_user(user).select_related("model").filter(pk=int(found[1])).first()
        if job:
            return {"id": ref, **checkpoint_weights(job.pk, int(found[2]), job.model)}
    elif model := find_model(user, ref):
        return {"id": ref, **weights_of(model)}
    raise no_such_model(ref)


def no_such_model(ref: str) -> Exception:
    words = f"There is no model “{ref[:80]}” of yours that is ready. GET /v1/models lists them."
    return invalid_field("model", words, code="model_not_found")
