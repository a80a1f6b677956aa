"""The schema is complete and is the one that was agreed; `make openapi` writes it anew."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client

SNAPSHOT: Path = settings.BASE_DIR / "docs" / "openapi.yaml"
SCHEMA = yaml.load(SNAPSHOT.read_text(), yaml.CSafeLoader)


def test_the_schema_is_the_snapshot() -> None:
    out = StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=out)
    assert out.getvalue() == SNAPSHOT.read_text(), "The API changed: run `make openapi`, read the difference, commit it."


def test_the_docs_are_served_from_here(anonymous_page: Client) -> None:
    assert anonymous_page.get("/api/schema").status_code == 200
    for page in ("/api/docs", "/api/redoc"):
        body = anonymous_page.get(page).content.decode()
        assert "https://" not in body
        assert "/static/drf_spectacular_sidecar/" in body


def test_every_operation_has_a_line_and_a_place_in_the_contents() -> None:
    for path, operations in SCHEMA["paths"].items():
        for method, operation in operations.items():
            assert 5 < len(operation["summary"]) < 120, (method, path)
            assert operation["tags"] != ["api"], (method, path)
