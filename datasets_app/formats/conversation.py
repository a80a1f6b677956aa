"""Turns as people write them → messages as chat templates want them: {role, content, …}, roles system, user, assistant, tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from datasets_app.formats.jsonrows import kind_of
from datasets_app.formats.problems import RowError, printable

Message = dict[str, Any]
Warn = Callable[[str, str, str], None]  # (rule, message, path)

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "ai", "function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function", "function_response", "tool_response", "ipython"), "tool"),
}
PLAIN = ("user", "assistant", "system", "tool")
CALLS = frozenset({"function_call", "tool_call"})


def messages_of(value: Any, field: str) -> list[Message]:
    """A list of turns in OpenAI or ShareGPT spelling (or that list as JSON text) → messages; raises RowError."""
    value = decoded(value)
    if not isinstance(value, list):
        raise RowError("wrong_type", f"“{field}” must be a list of turns; it is {kind_of(value)}.", column=field)
    if not value:
        raise RowError("empty_field", f"“{field}” is empty.", column=field)
    found = [message_of(turn, f"{field}[{number}]", field) for number, turn in enumerate(value)]
    return [message for message in found if message["role"] != "system" or message["content"]]


def message_of(turn: Any, path: str, field: str) -> Message:
    """One turn → one message; keys we do not know are kept."""
    if not isinstance(turn, dict):
        raise RowError("wrong_type", f"A turn must be an object; it is {kind_of(turn)}.", column=field, path=path)
    if len(turn) == 2 and turn.get("role") in PLAIN and isinstance(turn.get("content"), str) and turn["content"].strip():
        return turn  # nothing to do, as for most turns of most files
    role_key, content_key = ("from", "value") if "from" in turn and "role" not in turn else ("role", "content")
    if role_key not in turn:
        words = "A turn has no role. Give it “role” and “content” (or “from” and “value”)."
        raise RowError("missing_field", words, column=field, path=path)
    given = turn[role_key]
    role = ROLES.get(given.strip().lower()) if isinstance(given, str) else None
    if role is None:
        words = f"Unknown role {printable(json.dumps(given, ensure_ascii=False, default=str), 60)}. Use system, user, assistant or tool."
        raise RowError("unknown_role", words, column=field, path=f"{path}.{role_key}")
    rest = {key: item for key, item in turn.items() if key not in {role_key, content_key}}
    if given.strip().lower() in CALLS:
        return {"role": role, "content": "", "tool_calls": _calls(turn.get(content_key), f"{path}.{content_key}", field), **rest}
    return _with_content(role, turn.get(content_key), rest, f"{path}.{content_key}", field)


def _with_content(role: str, content: Any, rest: Message, path: str, field: str) -> Message:
    if rest.get("tool_calls"):
        rest = rest | {"tool_calls": _calls(rest["tool_calls"], path.rpartition(".")[0] + ".tool_calls", field)}
        content = "" if content is None else content
    text = _text(content, path, field)
    if not text.strip() and role in {"user", "assistant"} and not rest.get("tool_calls"):
        raise RowError("empty_content", f"The {role} turn has no text.", column=field, path=path)
    return {"role": role, "content": text, **rest}


def _text(content: Any, path: str, field: str) -> str:
    """Plain text, or OpenAI's list of text parts joined."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
        return "".join(part["text"] for part in content)
    if content is None:
        raise RowError("empty_content", "The turn has no text.", column=field, path=path)
    raise RowError("wrong_type", f"The content must be text; it is {kind_of(content)}.", column=field, path=path)


def _calls(value: Any, path: str, field: str) -> list[Message]:
    """Tool calls in OpenAI's or ShareGPT's spelling → [{"type": "function", "function": {name, arguments: object}}]."""
    value = decoded(value)
    calls = value if isinstance(value, list) else [value]
    found = []
    for call in calls:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            words = 'A tool call must be {"name": …, "arguments": {…}}, or a list of those.'
            raise RowError("bad_tool_call", words, column=field, path=path)
        arguments = decoded(function.get("arguments", {}))
        extra = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
        found.append({"type": "function", "function": {"name": function["name"], "arguments": arguments}, **extra})
    return found


def tools_of(value: Any) -> list[Message] | None:
    """The tools a row offers, each as {"type": "function", "function": …}; None when there are none."""
    value = decoded(value)
    if value in (None, "", [], {}):
        return None
    tools = value if isinstance(value, list) else [value]
    if not all(isinstance(tool, dict) and ("name" in tool or "function" in tool or "type" in tool) for tool in tools):
        raise RowError("wrong_type", "“tools” must be a list of function descriptions (JSON schema).", column="tools")
    return [tool if "function" in tool or "type" in tool else {"type": "function", "function": tool} for tool in tools]


def decoded(value: Any) -> Any:
    """JSON text of a list or object → that; anything else as it is. (CSV cells and many ShareGPT files hold JSON as text.)"""
    if isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def check_conversation(messages: list[Message], field: str, warn: Warn) -> None:
    """Rules over a whole conversation. Refuses one without an assistant turn; the rest are warnings."""
    roles = [message["role"] for message in messages]
    if "assistant" not in roles:
        raise RowError("no_assistant", "There is no assistant turn, so there is nothing to learn.", column=field)
    if "system" in roles[1:]:
        warn("system_not_first", "A system turn stands after the first turn; many chat templates refuse that.", field)
    turns = [message for message in messages if message["role"] != "system"]
    for number, (before, after) in enumerate(pairwise(turns), start=1):
        if before["role"] == after["role"] != "tool" and not before.get("tool_calls"):
            warn(
                "not_alternating",
                f"Two {after['role']} turns follow each other.",
                f"{field}[{number + len(messages) - len(turns)}]",
            )
            break
    if roles[-1] != "assistant":
        warn(
            "ends_without_answer", f"The last turn is the {roles[-1]}'s: nothing is learned from it.", f"{field}[{len(roles) - 1}]"
        )
