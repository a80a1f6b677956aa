"""Turns as people write them → messages as chat templates want them: {role, content, …}, roles system, user, assistant, tool."""

from __future__ import annotations

import json
import re
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
THOUGHTS = ("reasoning_content", "thinking", "reasoning")  # what was thought before the answer, beside it
ROLE_KEYS, CONTENT_KEYS = ("role", "from"), ("content", "value", "text")
TEXT_PARTS = ("text", "input_text", "output_text")
MEDIA = ("images", "image", "videos", "audios")
_THINK = re.compile(r"\s*<think>(.*?)</think>\s*", re.S)
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
    role_key = next((key for key in ROLE_KEYS if key in turn), None)
    if role_key is None:
        words = "A turn has no role. Give it “role” and “content” (or “from” and “value”)."
        raise RowError("missing_field", words, column=field, path=path)
    content_key = next((key for key in CONTENT_KEYS if key in turn), "value" if role_key == "from" else "content")
    given = turn[role_key]
    role = ROLES.get(given.strip().lower()) if isinstance(given, str) else None
    if role is None:
        words = f"Unknown role {printable(json.dumps(given, ensure_ascii=False, default=str), 60)}. Use system, user, assistant or tool."
        raise RowError("unknown_role", words, column=field, path=f"{path}.{role_key}")
    rest = _rest(turn, role_key, content_key)
    if given.strip().lower() in CALLS:
        return _call_turn(turn.get(content_key), rest, f"{path}.{content_key}", field)
    return _with_content(role, turn.get(content_key), rest, f"{path}.{content_key}", field)


def _rest(turn: dict[str, Any], role_key: str, content_key: str) -> Message:
    """The other keys of a turn under the names chat templates know; null says nothing and is left out."""
    rest = {key: item for key, item in turn.items() if key not in {role_key, content_key} and item is not None}
    for name in THOUGHTS[1:]:
        if isinstance(rest.get(name), str):
            rest.setdefault(THOUGHTS[0], rest.pop(name))
    if isinstance(rest.get("train"), bool):  # Axolotl's name for a weight
        rest.setdefault("weight", int(rest.pop("train")))
    if isinstance(rest.get("function_call"), dict):  # OpenAI's older spelling of a tool call
        rest.setdefault("tool_calls", [rest.pop("function_call")])
    return rest


def _call_turn(content: Any, rest: Message, path: str, field: str) -> Message:
    """A turn that is a call, perhaps with a thought before it."""
    if isinstance(content, str) and (thought := _THINK.match(content)):
        rest, content = {THOUGHTS[0]: thought.group(1).strip(), **rest}, content[thought.end() :]
    return {"role": "assistant", "content": "", "tool_calls": _calls(content, path, field), **rest}


def renamed(row: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The row with its turns in our spelling, as the mapping's options say (role_key, content_key, roles)."""
    if not {"role_key", "content_key", "roles"} & set(options):
        return row
    return {name: _respelled(value, options) for name, value in row.items()}


def _respelled(value: Any, options: dict[str, Any]) -> Any:
    value = decoded(value)
    if isinstance(value, list):
        return [_respelled_turn(turn, options) for turn in value]
    return _respelled_turn(value, options)


def _respelled_turn(turn: Any, options: dict[str, Any]) -> Any:
    role_key, content_key = options.get("role_key"), options.get("content_key")
    role_key = role_key if role_key else next((key for key in ROLE_KEYS if isinstance(turn, dict) and key in turn), "role")
    if not isinstance(turn, dict) or role_key not in turn:
        return turn
    roles = options.get("roles", {})
    role = turn[role_key]
    role = roles.get(role, role) if isinstance(role, str) else role
    found = {"role": "function_call" if role == "call" else role}
    content_key = content_key or next((key for key in CONTENT_KEYS if key in turn), "content")
    if content_key in turn:
        found["content"] = turn[content_key]
    return found | {key: item for key, item in turn.items() if key not in {role_key, content_key}}


def thought_of(row: dict[str, Any]) -> Message:
    """What the row says was thought before its answer, as a key of the answer's turn."""
    value = next((row[name] for name in THOUGHTS if isinstance(row.get(name), str) and row[name].strip()), None)
    return {THOUGHTS[0]: value} if value else {}


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
    if isinstance(content, list):
        return "".join(_text_of_part(part, f"{path}[{number}]", field) for number, part in enumerate(content))
    if content is None:
        raise RowError("empty_content", "The turn has no text.", column=field, path=path)
    raise RowError("wrong_type", f"The content must be text; it is {kind_of(content)}.", column=field, path=path)


def _text_of_part(part: Any, path: str, field: str) -> str:
    """The text of one of OpenAI's content parts; images, sounds and files can't be learned."""
    if not isinstance(part, dict):
        raise RowError("wrong_type", f"A part of the content must be an object; it is {kind_of(part)}.", column=field, path=path)
    kind = part.get("type", "text")
    if not isinstance(kind, str) or kind not in TEXT_PARTS:
        words = f"A part of the content is {printable(json.dumps(kind, ensure_ascii=False, default=str), 60)}; only text can be learned."
        raise RowError("media_part", words, column=field, path=path)
    if not isinstance(part.get("text"), str):
        raise RowError("wrong_type", "A part of the content has no “text”.", column=field, path=path)
    text: str = part["text"]
    return text


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


def warn_of_media(row: dict[str, Any], warn: Warn) -> None:
    """Say that images and the like beside the text are not learned."""
    if media := next((name for name in MEDIA if row.get(name)), None):
        warn("media_ignored", f"What “{media}” holds is not learned: only text is.", media)


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
