"""Rows that compare answers: preference (chosen and rejected) and KTO (an answer with a thumb up or down)."""

from __future__ import annotations

import re
from typing import Any

from datasets_app.formats.conversation import Message, Warn, decoded, message_of, messages_of, tools_of, warn_of_media
from datasets_app.formats.jsonrows import kind_of
from datasets_app.formats.problems import RowError

CONVERSATIONS = ("messages", "conversations", "conversation", "dialog")
CHOSEN = ("chosen", "chosen_response", "preferred_output")
REJECTED = ("rejected", "rejected_response", "non_preferred_output")
LABEL = ("label", "kto_tag")
ANSWER = ("completion", "output", "response")
LABELS = {"true": True, "1": True, "false": False, "0": False}
_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \t]*")


def preference(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """prompt (or a conversation so far, or the turns both answers begin with), chosen, rejected → message lists."""
    chosen_name, rejected_name = _name(row, CHOSEN), _name(row, REJECTED)
    chosen, rejected = _side(row, chosen_name), _side(row, rejected_name)
    prompt = _prompt(row)
    if prompt:
        chosen, rejected = _after(prompt, chosen), _after(prompt, rejected)
    else:
        same = next(
            (at for at, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), min(len(chosen), len(rejected))
        )
        prompt, chosen, rejected = chosen[:same], chosen[same:], rejected[same:]
    if chosen == rejected:
        raise RowError("same_answers", f"“{chosen_name}” and “{rejected_name}” are the same.", column=rejected_name)
    for name, answer in ((chosen_name, chosen), (rejected_name, rejected)):
        if not answer or answer[-1]["role"] != "assistant":
            raise RowError("no_assistant", f"“{name}” does not end with an assistant turn.", column=name)
    if not prompt:
        raise RowError(
            "missing_field", "There is no “prompt”, and the two answers do not begin with the same turns.", column="prompt"
        )
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **_offered(row, warn)}


def unpaired(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """prompt and completion, or a conversation whose last turn is the answer, with a boolean label."""
    label = _label(row)
    answer = next((name for name in ANSWER if name in row), None)
    if answer:
        prompt, completion = _prompt(row), _side(row, answer)
    else:
        field, messages = _conversation(row)
        if messages[-1]["role"] != "assistant":
            raise RowError("no_assistant", "The last turn must be the assistant's answer that the label judges.", column=field)
        prompt, completion = messages[:-1], messages[-1:]
        if prompt and prompt[0]["role"] != "system":
            prompt = _system(row) + prompt
    if len(completion) > 1 and not prompt:
        prompt, completion = completion[:-1], completion[-1:]
    if not prompt:
        raise RowError("missing_field", "There is no “prompt”.", column="prompt")
    return {"prompt": prompt, "completion": completion, "label": label, **_offered(row, warn)}


def has_label(row: dict[str, Any]) -> bool:
    """Whether the row's label is a thumb up or down, and not a class of some other data set."""
    if "kto_tag" not in row and "completion" not in row and not any(name in row for name in CONVERSATIONS):
        return False
    try:
        _label(row)
    except RowError:
        return False
    return True


def _offered(row: dict[str, Any], warn: Warn) -> dict[str, Any]:
    """The tools the row offers, where it does; what else it has beside text is said."""
    warn_of_media(row, warn)
    given = row.get("tools")
    if given is None and isinstance(row.get("input"), dict):
        given = row["input"].get("tools")
    tools = tools_of(given)
    return {"tools": tools} if tools else {}


def _name(row: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((name for name in names if name in row), names[0])


def _label(row: dict[str, Any]) -> bool:
    name = "kto_tag" if "kto_tag" in row else "label"
    value = row.get(name)
    if isinstance(value, str):
        value = LABELS.get(value.strip().lower(), value)
    if value is None:
        raise RowError("missing_field", f"“{name}” is missing.", column=name)
    if value in (0, 1) and isinstance(value, (bool, int)):
        return bool(value)
    raise RowError("wrong_type", f"“{name}” must be true or false; it is {kind_of(value)}.", column=name)


def _side(row: dict[str, Any], field: str) -> list[Message]:
    value = decoded(row.get(field))
    if value is None:
        raise RowError("missing_field", f"“{field}” is missing.", column=field)
    if isinstance(value, list):
        return messages_of(value, field)
    if isinstance(value, dict) and ("role" in value or "from" in value):
        return [message_of(value, field, field)]
    text = row[field] if isinstance(row[field], str) else value
    if isinstance(text, str) and (turns := _spoken(text)):
        return turns
    return [message_of({"role": "assistant", "content": text}, field, field)]


def _spoken(text: str) -> list[Message]:
    """Anthropic's "\\n\\nHuman: … \\n\\nAssistant: …" as turns; none for any other text."""
    if not text.lstrip().startswith("Human:"):
        return []
    parts = _SPEAKER.split("\n\n" + text.lstrip())[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = [{"role": roles[parts[at]], "content": parts[at + 1].strip()} for at in range(0, len(parts), 2)]
    while turns and not turns[-1]["content"]:  # a prompt may end with an open "Assistant:"
        turns.pop()
    return turns if all(turn["content"] for turn in turns) else []


def _after(prompt: list[Message], answer: list[Message]) -> list[Message]:
    """An answer that repeats the prompt's turns, without them."""
    asked = [message for message in prompt if message["role"] != "system"]
    told = answer[1:] if answer and answer[0]["role"] == "system" else answer
    return told[len(asked) :] if len(told) > len(asked) and told[: len(asked)] == asked else answer


def _system(row: dict[str, Any]) -> list[Message]:
    system = row.get("system")
    return [{"role": "system", "content": system}] if isinstance(system, str) and system.strip() else []


def _prompt(row: dict[str, Any]) -> list[Message]:
    first = _system(row)
    prompt = row.get("prompt")
    if prompt is None and isinstance(row.get("input"), dict):  # OpenAI: {"messages": […], "tools": […]}
        prompt = row["input"].get("messages")
    if prompt is None:
        prompt = _asked(row)
    if isinstance(prompt, str) and not isinstance(decoded(prompt), list):
        return [*first, *(_spoken(prompt) or [message_of({"role": "user", "content": prompt}, "prompt", "prompt")])]
    if prompt is not None:
        messages = messages_of(prompt, "prompt")
        return messages if messages and messages[0]["role"] == "system" else [*first, *messages]
    return [*first, *_conversation(row)[1]] if any(field in row for field in CONVERSATIONS) else []


def _asked(row: dict[str, Any]) -> str | None:
    """The question where it is not called prompt: instruction and input, or question."""
    texts = [row[name] for name in ("instruction", "input", "question") if isinstance(row.get(name), str) and row[name].strip()]
    return "\n\n".join(texts) if texts else None


def _conversation(row: dict[str, Any]) -> tuple[str, list[Message]]:
    field = next((name for name in CONVERSATIONS if name in row), "messages")
    if row.get(field) is None:
        raise RowError("missing_field", f"“{field}” is missing.", column=field)
    return field, messages_of(row[field], field)
