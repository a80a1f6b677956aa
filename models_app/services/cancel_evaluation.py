"""Stop an evaluation; what it has found so far stays."""

from __future__ import annotations

from django.utils import timezone

from finetune.core.errors import Conflict
from models_app.models import Evaluation

S = Evaluation.Status


def cancel_evaluation(*, evaluation: Evaluation) -> Evaluation:
    """The worker notices within a token or two. Conflict when it has ended."""
    if not evaluation.move(S.CANCELLED, when=Evaluation.ACTIVE, progress=None, finished_at=timezone.now()):
        raise Conflict("This evaluation has ended already.", code="evaluation_ended")
    return evaluation
