"""Delete an evaluation and its samples."""

from __future__ import annotations

from finetune.core.errors import Conflict
from models_app.models import Evaluation


def delete_evaluation(*, evaluation: Evaluation) -> None:
    """Conflict while it is queued or running."""
    deleted, _ = Evaluation.objects.filter(pk=evaluation.pk).exclude(status__in=Evaluation.ACTIVE).delete()
    if not deleted:
        raise Conflict("This evaluation is still going on. Cancel it first.", code="evaluation_active")
