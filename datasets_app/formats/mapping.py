"""Mappings: our field ← their column, a path, a constant or a template (picking.py); and options of how to read the file.

{"prompt": "question", "completion": {"path": "answers[0].text"}, "system": {"const": "Be brief."},
 "options": {"document": "paragraph", "roles": {"customer": "user"}, "role_key": "speaker", "content_key": "line"}}
"""

from __future__ import annotations

import json
from typing import Any

from datasets_app.formats.peers import AXOLOTL, BadPeer, axolotl_mapping
from datasets_app.formats.picking import OPTIONS, BadPick, check_pick, fields_of
from datasets_app.formats.schemas import FIELDS, shapes_with
from datasets_app.formats.textrows import DOCUMENTS

Mapping = dict[str, Any]
ROLES = ("system", "user", "assistant", "tool", "call")
# Column names that mean question and answer beyond doubt when both are there; taken by themselves and told.
USUAL_PAIRS = tuple(
    (question, answer)
    for question in ("prompt", "question", "query", "instruction", "problem", "input", "user")
    for answer in ("completion", "answer", "response", "output", "solution", "assistant", "generation", "reply", "target")
)
EXAMPLE = '{"prompt": "question", "completion": "answer"}'


class MappingError(ValueError):
    """The mapping makes no sense by itself, whatever the file holds."""


def read_mapping(given: str | Mapping | None) -> Mapping:
    """A mapping as people send it (JSON text or an object), checked; raises MappingError.

    The option "axolotl": a type's name, is replaced by the mapping it stands for.
    """
    if given in (None, "", {}):
        return {}
    mapping = _parsed(given) if isinstance(given, str) else given
    if not isinstance(mapping, dict):
        raise MappingError(f"A mapping is an object such as {EXAMPLE}.")
    mapping = _with_axolotl(dict(mapping))
    fields = fields_of(mapping)
    for field, pick in fields.items():
        _check(field, pick)
    _no_column_twice(fields)
    if not shapes_with(fields):
        raise MappingError(f"{', '.join(fields)} do not belong to one format together. Map the fields of one format only.")
    _check_options(mapping.get(OPTIONS, {}))
    return mapping


def suggest(columns: list[str]) -> Mapping:
    """A prompt/completion mapping that fits these columns, or nothing."""
    lower = {column.lower(): column for column in reversed(columns)}
    found = next(({"prompt": lower[a], "completion": lower[b]} for a, b in USUAL_PAIRS if a in lower and b in lower), {})
    return found if found != {"prompt": "prompt", "completion": "completion"} else {}


def _check(field: str, pick: Any) -> None:
    if field not in FIELDS:
        raise MappingError(f"“{field}” is not a field we know. Known are: {', '.join(FIELDS)}.")
    try:
        check_pick(pick)
    except BadPick as error:
        words = str(error)
        raise MappingError(f"“{field}” {words}" if words[0].islower() else f"“{field}”: {words}") from None


def _with_axolotl(mapping: Mapping) -> Mapping:
    options = mapping.get(OPTIONS)
    if not isinstance(options, dict) or "axolotl" not in options:
        return mapping
    try:
        meant = axolotl_mapping(options["axolotl"])
    except BadPeer as error:
        raise MappingError(f"“options.axolotl”: {error}") from None
    rest = {name: value for name, value in options.items() if name != "axolotl"}
    both = {**meant.get(OPTIONS, {}), **rest}
    return {**fields_of(meant), **fields_of(mapping), **({OPTIONS: both} if both else {})}


def _check_options(options: Any) -> None:
    if not isinstance(options, dict):
        raise MappingError("“options” is an object.")
    for name, value in options.items():
        if name == "document":
            if value not in DOCUMENTS:
                raise MappingError(f"“options.document” is one of: {', '.join(DOCUMENTS)}.")
        elif name in {"role_key", "content_key"}:
            if not isinstance(value, str) or not value.strip():
                raise MappingError(f"“options.{name}” names a key of the turns.")
        elif name == "roles":
            _check_roles(value)
        else:
            known = "document, roles, role_key, content_key, axolotl"
            raise MappingError(
                f"“options.{name}” is not an option we know. Known are: {known}. Axolotl types: {', '.join(AXOLOTL)}."
            )


def _check_roles(roles: Any) -> None:
    if not isinstance(roles, dict) or not all(isinstance(theirs, str) and ours in ROLES for theirs, ours in roles.items()):
        raise MappingError(f"“options.roles” says for each role of yours one of ours: {', '.join(ROLES)}.")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_field_twice)
    except MappingError:
        raise
    except (ValueError, RecursionError):
        raise MappingError(f"The mapping is not valid JSON. Write it like {EXAMPLE}.") from None


def _no_field_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = [field for field, _ in pairs]
    for field in fields:
        if fields.count(field) > 1:
            raise MappingError(f"“{field}” is mapped twice.")
    return dict(pairs)


def _no_column_twice(mapping: Mapping) -> None:
    columns = [pick for pick in mapping.values() if isinstance(pick, str)]
    for column in columns:
        if columns.count(column) > 1:
            raise MappingError(f"The column “{column}” is mapped to two fields.")
