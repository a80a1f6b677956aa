"""Schemathesis over every operation of the schema: no 5xx, every answer as the schema says.

A few examples of each here, seeded; SCHEMA_CASES=50 (make test-schema) tries thousands, SCHEMA_SEED others.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import strategies
from rest_framework_simplejwt.tokens import AccessToken
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from accounts.models import User
from models_app.services import try_prompt
from tests.factories import make_base_model, make_dataset, make_job, make_template, make_version

CASES = int(os.environ.get("SCHEMA_CASES", "2"))
SEED = int(os.environ.get("SCHEMA_SEED", "20"))
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
APP = get_wsgi_application()
SCHEMA = schemathesis.openapi.from_wsgi("/api/schema?format=json", APP)
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}


def both(operation: schemathesis.schemas.APIOperation) -> strategies.SearchStrategy:
    """Requests as the schema wants them, and such that break it, where there is anything to break."""
    takes = bool(operation.body) or any(True for _ in operation.iter_parameters())
    good, bad = operation.as_strategy(), operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    return good | bad if takes else good


@pytest.fixture
def headers(alice: User, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[dict[str, str]]:
    """Alice, who has one of everything; outside systems refuse at once, and no worker is waited for."""
    base = make_base_model(alice)
    job = make_job(alice, model=base, dataset=make_dataset(alice), status="succeeded", attempt=1)
    make_version(alice, base=base), make_template(alice, name=f"mine {job.pk}")
    settings.HF_ENDPOINT = settings.OLLAMA_HOST = "http://127.0.0.1:9"
    monkeypatch.setattr(try_prompt, "ANSWER_WITHIN_SECONDS", 0.0)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # the test's transaction outlives its requests
    yield {"Authorization": f"Bearer {AccessToken.for_user(alice)}"}
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_the_schema_says(label: str, headers: dict[str, str]) -> None:
    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=CASES,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=both(OPERATIONS[label]))
    def examine(case: schemathesis.Case) -> None:
        with warnings.catch_warnings(), transaction.atomic():
            warnings.simplefilter("ignore")
            answer = case.call(headers=headers)
            transaction.set_rollback(True)
        assert answer.status_code < 500 or answer.status_code == 503, answer.text  # 503: an outside system is away, and it says so
        case.validate_response(answer, checks=CHECKS, headers=headers)

    examine()
