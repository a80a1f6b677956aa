"""What can be wrong with the turns of one conversation, beyond what makes it unreadable (formats/conversation.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Found = tuple[str, str, str]  # rule, words, path
KNOWN_KEYS = frozenset(
    {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "reasoning_content", "thinking"}
)


def problems_of(messages: list[dict[str, Any]], field: str) -> Iterator[Found]:
    """Each rule once."""
    roles = [message["role"] for message in messages]
    spoken = [role for role in roles if role != "system"]
    if "user" not in roles:
        yield "no_user", "There is no user turn: the assistant answers nobody.", field
    elif spoken[0] == "assistant":
        yield "starts_with_answer", "The assistant speaks first.", f"{field}[{roles.index('assistant')}]"
    if any(len(message) > 2 for message in messages):
        yield from _keys(messages, field)


def _keys(messages: list[dict[str, Any]], field: str) -> Iterator[Found]:
    odd = next(((at, key) for at, turn in enumerate(messages) for key in turn if key not in KNOWN_KEYS), None)
    if odd:
        yield "unknown_keys", f"The key “{odd[1][:60]}” is not used.", f"{field}[{odd[0]}].{odd[1][:60]}"
    weights = [(at, turn["weight"]) for at, turn in enumerate(messages) if turn.get("weight") is not None]
    wrong = next((at for at, weight in weights if weight not in (0, 1) or isinstance(weight, bool)), None)
    if wrong is not None:
        yield "bad_weight", "A weight must be 0 or 1.", f"{field}[{wrong}].weight"
    answers = [turn for turn in messages if turn["role"] == "assistant"]
    if answers and all(turn.get("weight") == 0 for turn in answers):
        yield "nothing_weighted", "Every answer has weight 0, so nothing of this row is learned.", field
