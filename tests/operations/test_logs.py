"""No secret gets into a log line, in either format, and each line says what it is about."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client

from finetune.core.logs import about_job, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJlLXBhcnQ"
PLANTED = {
    "wJalrXUtnFEMI/K7MDENG": "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG",
    "hf_AbCdEfGhIjKlMnOp": "the Hub said no to hf_AbCdEfGhIjKlMnOp today",
    "aift_Zz09-secret_part": "key aift_Zz09-secret_part is revoked",
    "s3cr3tBearerValue": "curl -H 'authorization: Bearer s3cr3tBearerValue'",
    "dXNlcjpwYXNz": "{'Authorization': 'Basic dXNlcjpwYXNz'}",
    "bytesBearer9": "[(b'authorization', b'Bearer bytesBearer9')]",
    "lonelyBearer77": "sent Bearer lonelyBearer77 to the other side",
    "inTheAddress42": "GET /ws/training/3?after=1&token=inTheAddress42 101",
    "firstInAddress": "/ws/x?token=firstInAddress",
    "pa55word": "redis://:pa55word@broker:6379/0 does not answer",
    "pgPassw0rd": "postgresql://aift:pgPassw0rd@db/aift",
    "hunter2hunter2": '{"username": "a", "password": "hunter2hunter2"}',
    "sessionvalue1": "Cookie: csrftoken=x; sessionid=sessionvalue1",
    JWT: f"refresh {JWT} was used twice",
}


@pytest.fixture(params=["line", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the product's own handler writes, in both formats."""
    stream = io.StringIO()
    handler = {"class": "logging.StreamHandler", "formatter": request.param, "filters": ["redact"], "stream": stream}
    logger = {"planted": {"handlers": ["handler"], "level": "DEBUG", "propagate": False}}
    parts = {name: settings.LOGGING[name] for name in ("version", "disable_existing_loggers", "filters", "formatters")}
    logging.config.dictConfig({**parts, "handlers": {"handler": handler}, "loggers": logger})
    stream.format = request.param
    yield stream
    logging.getLogger("planted").handlers.clear()


@pytest.mark.parametrize("secret", PLANTED)
def test_planted_secrets_never_get_through(written, secret):
    log, text = logging.getLogger("planted"), PLANTED[secret]
    log.warning(text)
    log.warning("as an argument: %s", text)
    log.warning("as two: %s and %r", 1, {"answer": text})
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("it broke", stack_info=True)

    assert secret not in written.getvalue()
    assert written.getvalue().count("[redacted]") >= 4
    assert "ValueError" in written.getvalue()


@pytest.mark.parametrize(
    "text",
    ["tokens: 512 of 2048", "authorization failed", "the bearer of bad news", "loss=1.2 token_count=7", "https://host/x?page=2"],
)
def test_ordinary_words_stay(text):
    assert redact(text) == text


def test_a_json_line_says_what_it_is_about(written):
    with about_job(17):
        logging.getLogger("planted").info("followed\nby a second line")
    logging.getLogger("planted").info("after")

    lines = written.getvalue().splitlines()
    if written.format == "line":
        assert "[job_id=17] followed" in lines[0] and "job_id" not in lines[-1]
        return
    first, second = map(json.loads, lines)
    assert first.items() >= {"level": "INFO", "logger": "planted", "message": "followed\nby a second line", "job_id": 17}.items()
    assert "job_id" not in second and set(second) == {"time", "level", "logger", "message"}


def test_a_wrong_format_string_is_still_a_line(written):
    logging.getLogger("planted").info("%d rows of %s", "hf_AbCdEfGhIjKlMnOp")
    assert "rows of" in written.getvalue() and "AbCdEf" not in written.getvalue()


# --- Request ids --------------------------------------------------------------------------------


def test_a_request_id_is_honoured_and_returned(page: Client):
    assert page.get("/healthz", headers={"X-Request-ID": "proxy-4711/a"})["X-Request-ID"] == "proxy-4711/a"


@pytest.mark.parametrize("given", ["", "x" * 101, "two words", 'a"b', "ümlaut"])
def test_a_missing_or_strange_one_is_replaced(page: Client, given: str):
    answer = page.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"]
    assert answer != given and len(answer) == 32


def test_lines_of_a_request_carry_its_id_and_person(written, alice, page: Client, api, monkeypatch):
    from finetune.dashboard import queries

    real = queries.counts

    def counts(user):
        logging.getLogger("planted").info("counted")
        return real(user)

    monkeypatch.setattr(queries, "counts", counts)
    page.get("/", headers={"X-Request-ID": "from-page"})
    assert "counted" in written.getvalue()
    api.force_authenticate(alice)
    api.get("/api/dashboard/stats", headers={"X-Request-ID": "from-api"})
    lines = [line for line in written.getvalue().splitlines() if "counted" in line]
    if written.format == "json":
        assert [json.loads(line)["request_id"] for line in lines] == ["from-page", "from-api"]
        assert {json.loads(line)["user_id"] for line in lines} == {alice.pk}
    logging.getLogger("planted").info("afterwards")
    assert "request_id" not in written.getvalue().splitlines()[-1]
