"""Say which answer of a comparison is the best."""

from __future__ import annotations

from django.utils import timezone

from finetune.core.errors import Conflict, invalid_field
from models_app.models import Comparison

TIE, NONE = "tie", "none"


def vote_comparison(*, comparison: Comparison, vote: str) -> Comparison:
    """`vote` is a side, "tie" (all the same) or "none" (no good one). A vote is given once; then it is told who is who.

    Invalid for anything else, also a side that could not answer; Conflict before all have answered, or after a vote.
    """
    sides = comparison.answered or [side["side"] for side in comparison.sides]
    if vote not in (*sides, TIE, NONE):
        raise invalid_field("vote", f"Must be one of {', '.join((*sides, TIE, NONE))}.")
    if not comparison.is_answered:
        raise Conflict("Not all of them have answered.", code="comparison_unanswered")
    if not Comparison.objects.filter(pk=comparison.pk, vote="").update(vote=vote, voted_at=timezone.now()):
        raise Conflict("You have voted already.", code="comparison_voted")
    comparison.refresh_from_db()
    return comparison
