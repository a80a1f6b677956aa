"""What can be wrong with the tools a row offers, the calls the assistant makes and the results it gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

Found = tuple[str, str, str]  # rule, words, path


def problems_of(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, field: str) -> Iterator[Found]:
    """Each rule once a row."""
    if not any("tool_calls" in message or message["role"] == "tool" for message in messages):
        return
    seen: set[str] = set()
    for rule, words, path in _all(messages, _offered(tools), field):
        if rule not in seen:
            seen.add(rule)
            yield rule, words, path


def names_of(tools: list[dict[str, Any]] | None) -> tuple[str, ...]:
    return tuple(sorted(_offered(tools)))


def _offered(tools: list[dict[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Name → its JSON schema of arguments."""
    functions = [tool.get("function", tool) for tool in tools or []]
    return {function["name"]: function.get("parameters") or {} for function in functions if _is_named(function)}


def _is_named(function: Any) -> bool:
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _all(messages: list[dict[str, Any]], offered: dict[str, dict[str, Any]], field: str) -> Iterator[Found]:
    made: set[str] = set()
    before = ""
    for at, message in enumerate(messages):
        calls = message.get("tool_calls") or []
        for number, call in enumerate(calls):
            made.add(call.get("id", ""))
            yield from _call(call["function"], offered, f"{field}[{at}].tool_calls[{number}]")
        if calls and message.get("content", "").strip():
            yield "text_beside_calls", "The turn has a text and calls a tool.", f"{field}[{at}]"
        if message["role"] == "tool":
            if before not in ("calls", "tool"):
                yield "orphan_tool_result", "A tool's result follows no call.", f"{field}[{at}]"
            identifier = message.get("tool_call_id")
            if identifier and identifier not in made:
                yield "unknown_call_id", f"No earlier call has the id “{str(identifier)[:60]}”.", f"{field}[{at}].tool_call_id"
        before = "calls" if calls else message["role"]


def _call(function: dict[str, Any], offered: dict[str, dict[str, Any]], path: str) -> Iterator[Found]:
    name, arguments = function["name"], function.get("arguments", {})
    if not isinstance(arguments, dict):
        yield "arguments_not_json", f"The arguments of “{name[:60]}” are not an object.", f"{path}.function.arguments"
    if name not in offered:
        what = f"offers {', '.join(offered)[:120]}" if offered else "offers no tools"
        yield "unknown_tool", f"“{name[:60]}” is called; the row {what}.", f"{path}.function.name"
    elif isinstance(arguments, dict) and (reason := _misfit(offered[name], arguments)):
        yield "arguments_dont_fit", f"“{name[:60]}”: {reason}", f"{path}.function.arguments"


def _misfit(schema: dict[str, Any], arguments: dict[str, Any]) -> str:
    """Why the arguments break the tool's schema; "" when they don't, or the schema itself is none."""
    from jsonschema.exceptions import SchemaError

    try:
        error = next(_validator(json.dumps(schema, sort_keys=True)).iter_errors(arguments), None)
    except (SchemaError, TypeError, ValueError, RecursionError, AttributeError):
        return ""
    return f"{error.message[:200]}." if error else ""


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    wanted = json.loads(schema)
    Draft202012Validator.check_schema(wanted)
    return Draft202012Validator(wanted)
