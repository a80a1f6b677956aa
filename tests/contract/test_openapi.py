"""The schema is complete and is the one that was agreed; `make openapi` writes it anew."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.test import Client

SNAPSHOT: Path = settings.BASE_DIR / "docs" / "openapi.yaml"


def test_the_schema_is_the_snapshot() -> None:
    out = StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=out)
    assert out.getvalue() == SNAPSHOT.read_text(), "The API changed: run `make openapi`, read the difference, commit it."


def test_the_docs_are_served_from_here(anonymous_page: Client) -> None:
    assert anonymous_page.get("/api/schema").status_code == 200
    for page in ("/api/docs", "/api/redoc"):
        body = anonymous_page.get(page).content.decode()
        assert "cdn" not in body
        assert "/static/drf_spectacular_sidecar/" in body
