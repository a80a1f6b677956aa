"""What fills a field of ours: a column, a place inside a row (a.b[0].c), a fixed value, or a template over columns.

In a mapping a column stands as its bare name; the others are {"path": …}, {"const": …} and {"template": …}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

OPTIONS = "options"
Step = str | int
MISSING: Any = object()
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]")
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class BadPick(ValueError):
    """This can't be picked from any row; the text says why."""


@lru_cache(maxsize=512)
def steps_of(path: str) -> tuple[Step, ...]:
    """`a.b[0].c` → ("a", "b", 0, "c"); raises BadPick. A leading `$.` is allowed."""
    text = path.removeprefix("$").removeprefix(".") if path.startswith("$") else path
    found: list[Step] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise BadPick(f"“{path[:80]}” is not a path. Write it like a.b[0].c.")
        found.append(match.group(1) if match.group(1) is not None else int(match.group(2)))
        at = match.end()
    if not found or len(found) > 50:
        raise BadPick("A path names a column and, after dots and brackets, a place inside it: a.b[0].c.")
    return tuple(found)


@lru_cache(maxsize=512)
def parts_of(template: str) -> tuple[tuple[str, str], ...]:
    """A template → (text before, path) pairs, the last with an empty path. {{ and }} are braces."""
    found, text, at = [], "", 0
    for match in _PLACE.finditer(template):
        text, at = text + template[at : match.start()], match.end()
        if match.group(1) is None:
            text += match.group()[0]
            continue
        if not match.group(1).strip():
            raise BadPick("A template names columns in braces: “{title}: {body}”. Write {{ for a brace itself.")
        steps_of(match.group(1).strip())
        found.append((text, match.group(1).strip()))
        text = ""
    rest = template[at:]
    if "{" in rest or "}" in rest:
        raise BadPick("A brace in the template is not closed. Write {{ for a brace itself.")
    return (*found, (text + rest, ""))


def check_pick(pick: Any) -> None:
    """Raises BadPick unless this is a column's name or one of the three objects."""
    if isinstance(pick, str):
        if not pick.strip() or "\x00" in pick:
            raise BadPick("must name a column of your file.")
        return
    if not isinstance(pick, dict) or len(pick) != 1 or next(iter(pick)) not in {"path", "const", "template"}:
        raise BadPick('must name a column of your file, or be {"path": …}, {"const": …} or {"template": …}.')
    ((how, value),) = pick.items()
    if how == "const":
        if not isinstance(value, (str, bool, int, float)) or "\x00" in str(value):
            raise BadPick("has a constant that is neither text, a number nor true or false.")
    elif not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise BadPick(f"needs a {how} as text.")
    else:
        _ = steps_of(value) if how == "path" else parts_of(value)


def pick_from(row: Mapping[str, Any], pick: Any) -> Any:
    """The value, or MISSING. A template whose columns are all missing or empty gives "" (then the field counts as empty)."""
    if isinstance(pick, str):
        return row.get(pick, MISSING)
    if "const" in pick:
        return pick["const"]
    return _at(row, pick["path"]) if "path" in pick else _filled(row, pick["template"])


def columns_in(pick: Any) -> Iterator[str]:
    """The columns a pick reads."""
    if isinstance(pick, str):
        yield pick
    elif "path" in pick:
        yield str(steps_of(pick["path"])[0])
    elif "template" in pick:
        yield from (str(steps_of(path)[0]) for _, path in parts_of(pick["template"]) if path)


def places_in(mapping: Mapping[str, Any]) -> list[str]:
    """The places that the templates of a mapping fill."""
    templates = (pick["template"] for pick in fields_of(mapping).values() if isinstance(pick, dict) and "template" in pick)
    return list(dict.fromkeys(path for template in templates for _, path in parts_of(template) if path))


def is_empty(row: Mapping[str, Any], path: str) -> bool:
    """Whether a row has nothing there that a template could show."""
    return not _shown(_at(row, path)).strip()


def fields_of(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without its options."""
    return {field: pick for field, pick in mapping.items() if field != OPTIONS}


def options_of(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return mapping.get(OPTIONS) or {}


def columns_of(mapping: Mapping[str, Any]) -> list[str]:
    """Every column a mapping reads, each once."""
    return list(dict.fromkeys(column for pick in fields_of(mapping).values() for column in columns_in(pick)))


def said(pick: Any) -> str:
    """A pick in words, for pages and problems."""
    if isinstance(pick, str):
        return pick
    ((how, value),) = pick.items()
    return f"“{value}”" if how == "const" else str(value)


def _at(row: Mapping[str, Any], path: str) -> Any:
    if path in row:  # a column may have a dot in its name
        return row[path]
    value: Any = row
    for step in steps_of(path):
        if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
            value = _decoded(value)
        if isinstance(value, list) and isinstance(step, int):
            value = value[step] if -len(value) <= step < len(value) else MISSING
        else:
            value = value[step] if isinstance(value, Mapping) and step in value else MISSING  # type: ignore[index]
        if value is MISSING:
            break
    return value


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _filled(row: Mapping[str, Any], template: str) -> str:
    pieces = parts_of(template)
    values = [_shown(_at(row, path)) if path else "" for _, path in pieces]
    if len(pieces) > 1 and not any(value.strip() for value in values):
        return ""
    return "".join(text + value for (text, _), value in zip(pieces, values, strict=True))


def _shown(value: Any) -> str:
    if value is None or value is MISSING:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
