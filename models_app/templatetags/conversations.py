"""Conversations in a few words."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.text import Truncator

register = template.Library()


@register.filter
def last_words(messages: list[dict[str, Any]]) -> str:
    """The newest question, shortened; what is around it is told by a number."""
    question = next((str(turn.get("content") or "") for turn in reversed(messages) if turn["role"] == "user"), "")
    words = Truncator(" ".join(question.split())).chars(160) or "The conversation before it"
    return f"{words} (and {len(messages) - 1} more turns)" if len(messages) > 1 else words
