"""Lists and details take a constant number of queries, the one in query_counts.json (rewritten with UPDATE_COUNTS=1)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_base_model, make_dataset, make_event, make_job, make_version

BASELINE = Path(__file__).with_name("query_counts.json")
PATHS = (
    "/",
    "/datasets/",
    "/datasets/{dataset}",
    "/models/",
    "/models/{model}",
    "/models/storage",
    "/training/",
    "/training/new",
    "/training/{job}",
    "/training/queue",
    "/settings",
    "/api/datasets",
    "/api/datasets/{dataset}",
    "/api/models",
    "/api/models/{model}",
    "/api/training",
    "/api/training/{job}",
    "/api/training/queue",
    "/api/training/{job}/status",
    "/api/training/{job}/metrics",
    "/api/training/{job}/events",
    "/api/dashboard/stats",
    "/api/dashboard/analytics",
    "/analytics",
)


def populate(alice: User, number: int) -> dict[str, int]:
    """Rows of every kind; the ids of one of each."""
    ids: dict[str, int] = {}
    for index in range(number):
        base = make_base_model(alice, family=f"base-{number}-{index}")
        dataset = make_dataset(alice, rows=3)
        model = make_version(alice, base=base, family=f"family-{number}-{index}")
        job = make_job(alice, model=base, dataset=dataset, status="succeeded", attempt=1, output_model=model)
        waiting = make_job(alice, model=base, dataset=dataset, status="queued")
        for seq in range(1, 4):
            make_event(job, seq, split="train", step=seq, values={"loss": 1.0 / seq})
            make_event(waiting, seq, "log", level="info", text="waiting")
        ids = {"dataset": dataset.pk, "model": model.pk, "job": job.pk}
    return ids


def count(page: Client, api: APIClient, path: str) -> int:
    client = api if path.startswith("/api/") else page
    cache.clear()  # what is kept for a while would hide its queries
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)
    return len(queries)


@pytest.mark.parametrize("path", PATHS)
def test_it_takes_as_many_queries_as_agreed_however_many_rows_there_are(
    path: str, alice: User, page: Client, api: APIClient
) -> None:
    few = count(page, api, path.format(**populate(alice, 2)))
    many = count(page, api, path.format(**populate(alice, 10)))
    assert many == few, "the number of queries grows with the rows"
    agreed = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if os.environ.get("UPDATE_COUNTS"):
        BASELINE.write_text(json.dumps({**agreed, path: few}, indent=2, sort_keys=True) + "\n")
    else:
        assert few == agreed.get(path), "run with UPDATE_COUNTS=1 when the new number is meant"
