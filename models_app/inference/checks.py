"""Checks of an answer's form: a regular expression, and a JSON schema. Both come from people, so neither may run for ever."""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_PATTERN, LONGEST_SCHEMA = 1000, 20_000
PATTERN_MEMORY = 4 << 20
FENCE = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


class BadCheck(Exception):
    """The expression or schema itself can't be used; the text says why."""


def compiled(pattern: str) -> Any:
    """The expression, matched in time linear in the text whatever it says (RE2: no back-references, no look-around)."""
    import re2

    options = re2.Options()
    options.log_errors, options.max_mem = False, PATTERN_MEMORY
    if len(pattern) > LONGEST_PATTERN:
        raise BadCheck(f"At most {LONGEST_PATTERN} characters.")
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise BadCheck(f"Not a regular expression that RE2 understands: {reason}.") from None


def validator(schema: str) -> Any:
    """A validator of the schema: draft 2020-12, nothing fetched from anywhere, its patterns matched by RE2 as well."""
    if len(schema) > LONGEST_SCHEMA:
        raise BadCheck(f"At most {LONGEST_SCHEMA:,} characters.")
    try:
        wanted = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise BadCheck(f"Not JSON: {error}") from None
    if not isinstance(wanted, dict):
        raise BadCheck("A JSON schema is an object.")
    return _validator(wanted)


def _validator(wanted: dict[str, Any]) -> Any:
    from jsonschema import Draft202012Validator, SchemaError, validators
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    safe = validators.extend(Draft202012Validator, {"pattern": _pattern, "patternProperties": _refused})
    try:
        Draft202012Validator.check_schema(wanted)
        found = safe(wanted, registry=Registry())
        list(found.iter_errors({}))
        for pattern in _patterns(wanted):
            compiled(pattern)
    except SchemaError as error:
        raise BadCheck(f"Not a JSON schema: {error.message[:300]}") from None
    except (RecursionError, Unresolvable) as error:  # a reference to somewhere else, or one without end
        raise BadCheck(f"This schema can't be used here: {str(error)[:200]}") from None
    return found


def _patterns(schema: Any) -> list[str]:
    """Every expression in the schema; BadCheck for properties that are named by one."""
    if isinstance(schema, list):
        return [pattern for item in schema for pattern in _patterns(item)]
    if not isinstance(schema, dict):
        return []
    if isinstance(schema.get("patternProperties"), dict):
        raise BadCheck("patternProperties are not supported here.")
    own = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    return own + [pattern for item in schema.values() for pattern in _patterns(item)]


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Any:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not compiled(pattern).search(instance):
        yield ValidationError(f"{instance[:60]!r} does not match {pattern!r}")


def _refused(validator: Any, patterns: Any, instance: Any, schema: Any) -> Any:
    raise BadCheck("patternProperties are not supported here.")


def misfit(checker: Any, answer: str) -> str:
    """Why the answer is not JSON of the schema's form; "" when it is. A code fence around it does not matter."""
    from referencing.exceptions import Unresolvable

    fenced = FENCE.match(answer)
    try:
        value = json.loads(fenced[1] if fenced else answer)
    except RecursionError:
        return "The answer is nested too deeply."
    except ValueError as error:
        return f"The answer is not JSON: {error}"
    try:
        found = next(iter(checker.iter_errors(value)), None)
    except (RecursionError, Unresolvable) as broken:  # a reference that leads nowhere or has no end, met only in some answers
        return f"The schema can't be applied to this answer: {str(broken)[:200] or type(broken).__name__}"
    if found is None:
        return ""
    place = "".join(f"[{part!r}]" for part in found.absolute_path)
    return f"{place or 'The answer'}: {found.message[:300]}"
