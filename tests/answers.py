"""The examples of the API's schema are real answers: of the tests, when RECORD_ANSWERS is set (make examples).

Each success that a test gets is a candidate for its operation; the fullest one that is not long is kept in
finetune/core/answers.json, until it no longer fits its schema. Nothing of the machine, and no secret, stays in it.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml
from django.conf import settings
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from finetune.core.answers import FILE, MEDIA
from training.devices import list_devices

SNAPSHOT: Path = settings.BASE_DIR / "docs" / "openapi.yaml"
MOST_CHARACTERS = 7000
SCRUBBED: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "eyJhbGciOi…"),
    (re.compile(r"\b(aift|hf)_\w{12,}"), r"\1_…"),
    (re.compile(r"/tmp/[\w./-]*?/(?=(datasets|models|runs|hub)/)"), "/srv/aifinetune/"),
    (re.compile(re.escape(str(settings.DATA_DIR))), "/srv/aifinetune"),
    (re.compile(re.escape(str(settings.BASE_DIR))), "/opt/aifinetune"),
    (re.compile(r"/tmp/[\w./-]+"), "/srv/aifinetune/x"),
    (re.compile(r"\b" + re.escape(socket.gethostname()) + r"\b"), "trainer-1"),
    (re.compile(re.escape(list_devices()[-1].name)), "Example CPU · 8 cores"),
    # Digests of the tests' factories: one digit, again and again.
    (re.compile(r"\b([0-9a-f])\1{63}\b"), lambda found: sha256(found[0].encode()).hexdigest()),
    (re.compile(r"\b([0-9a-f])\1{39}\b"), lambda found: sha256(found[0].encode()).hexdigest()[:40]),
    (re.compile(r"</?b>"), ""),  # what tests try to smuggle into pages
    (re.compile(r"127\.0\.0\.1:(?!11434)\d+"), "127.0.0.1:8000"),
)
STRANGE = re.compile(r"<(?!/?h\d>)|\\u0000|(.)\1{30}|zebra|evil")


@cache
def document() -> dict[str, Any]:
    return yaml.load(SNAPSHOT.read_text(), yaml.CSafeLoader)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and what the schema says of it."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def problem(schema: dict[str, Any], value: Any) -> str:
    """Why the value is not what the schema says; empty when it is."""
    whole = {**schema, "components": document()["components"]}
    first = next(iter(jsonschema_rs.Draft202012Validator(whole).iter_errors(value)), None)
    return "" if first is None else f"{first.instance_path}: {first.message[:200]}"


def _pattern(path: str) -> re.Pattern[str]:
    """Only names of the Hub hold a slash."""
    return re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path.replace("{repo_id}", ".+")) + "$")


@cache
def _by_address() -> list[tuple[re.Pattern[str], str, str, dict[str, Any]]]:
    found = [(_pattern(path), path, method, told) for path, method, told in operations()]
    return sorted(found, key=lambda entry: entry[1].count("{"))


def operation_at(path: str, method: str) -> dict[str, Any] | None:
    return next((told for pattern, _, verb, told in _by_address() if verb == method.lower() and pattern.match(path)), None)


def install() -> Callable[[], None]:
    """Begin to listen; what it gives writes the file."""
    heard: dict[str, dict[str, Any]] = {}
    dispatch = APIView.dispatch

    def listening(view: APIView, request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = dispatch(view, request, *args, **kwargs)
        told = operation_at(request.path, request.method)
        if told and answer.status_code < 300:
            plain = json.loads(answer.content) if answer.get("Content-Type") == MEDIA and not hasattr(answer, "data") else None
            _keep(heard, told, str(answer.status_code), getattr(answer, "data", plain))
        return answer

    APIView.dispatch = listening  # type: ignore[method-assign]
    return lambda: _write(heard)


def _keep(heard: dict[str, dict[str, Any]], told: dict[str, Any], code: str, data: Any) -> None:
    content = told["responses"].get(code, {}).get("content", {}).get(MEDIA)
    if content is None or data is None:
        return
    text = JSONRenderer().render(data).decode()
    for pattern, plain in SCRUBBED:
        text = pattern.sub(plain, text)
    whole = json.loads(text)
    value = next((short for most in (2, 1) if len(json.dumps(short := _shortened(whole, most))) <= MOST_CHARACTERS), None)
    if value is None or STRANGE.search(json.dumps(value)) or problem(content["schema"], value):
        return
    kept = heard.setdefault(told["operationId"], {})
    if code not in kept or _fullness(value) > _fullness(kept[code]):
        kept[code] = value


def _shortened(value: Any, most: int) -> Any:
    """Of lists the first `most`."""
    if isinstance(value, list):
        return [_shortened(item, most) for item in value[:most]]
    if isinstance(value, dict):
        return {key: _shortened(item, most) for key, item in value.items()}
    return value[:400] if isinstance(value, str) else value


def _fullness(value: Any) -> int:
    """How many of its places say something."""
    if isinstance(value, dict):
        return sum(map(_fullness, value.values()))
    if isinstance(value, list):
        return sum(map(_fullness, value))
    return int(value not in (None, "", 0, False))


def _write(heard: dict[str, dict[str, Any]]) -> None:
    """What is in the file stays while it fits; RECORD_ANSWERS=anew begins from nothing."""
    before = {} if os.environ["RECORD_ANSWERS"] == "anew" else json.loads(FILE.read_text())
    kept: dict[str, dict[str, Any]] = {}
    for _, _, told in operations():
        name = told["operationId"]
        for code, answer in told["responses"].items():
            schema = answer.get("content", {}).get(MEDIA, {}).get("schema") if code < "3" else None
            old = before.get(name, {}).get(code)
            value = old if old is not None and schema and not problem(schema, old) else heard.get(name, {}).get(code)
            if schema and value is not None:
                kept.setdefault(name, {})[code] = value
    FILE.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
