"""GET /metrics: for the token's holder and operators; the numbers are the installation's."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tests.factories import make_dataset, make_event

TOKEN = "scrape-me-0123456789"


@pytest.fixture(autouse=True)
def token(settings) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape(client: Client, given: str | None = TOKEN):
    headers = {"Authorization": f"Bearer {given}"} if given is not None else {}
    return client.get("/metrics", headers=headers)


def samples(response) -> dict[tuple, float]:
    families = text_string_to_metric_families(response.content.decode())
    return {(item.name, *item.labels.values()): item.value for family in families for item in family.samples}


@pytest.mark.parametrize("given", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "ümlaut"])
def test_without_the_token_there_is_no_such_page(anonymous_page, page, given):
    for client in (anonymous_page, page):
        assert scrape(client, given).status_code == 404


def test_an_empty_token_opens_nothing(anonymous_page, settings):
    settings.METRICS_TOKEN = ""
    assert scrape(anonymous_page, "").status_code == 404
    assert scrape(anonymous_page, None).status_code == 404


def test_an_operator_needs_no_token(olivia):
    client = Client()
    client.force_login(olivia)
    assert scrape(client, None).status_code == 200


def test_reading_only(anonymous_page):
    assert anonymous_page.post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_the_numbers_are_those_of_the_installation(anonymous_page, alice, charlie, new_job):
    job = new_job(alice, status="queued", queued_at=timezone.now() - timedelta(seconds=90))
    new_job(charlie, status="queued", queued_at=timezone.now())
    late = timezone.now() - timedelta(seconds=30)
    new_job(alice, status="running", lease_owner="x", lease_expires_at=late)
    make_dataset(charlie, status="validating")
    newest = [make_event(job, number) for number in (1, 2)][-1]

    found = samples(scrape(anonymous_page))

    assert found["aift_jobs", "queued"] == 2 and found["aift_jobs", "running"] == 1 and found["aift_jobs", "failed"] == 0
    assert found["aift_queue_length",] == 2
    assert 90 <= found["aift_queue_oldest_wait_seconds",] < 150
    assert 30 <= found["aift_lease_overdue_seconds",] < 90
    assert found["aift_datasets_being_read",] == 1
    assert found["aift_events_recorded_total",] == newest.pk
    assert found["process_resident_memory_bytes",] > 10e6
    memory = [value for name, value in found.items() if name[:2] == ("aift_device_memory_bytes", "cpu")]
    assert memory and memory[0] > 0


def test_nothing_waits_is_zero(anonymous_page, db):
    found = samples(scrape(anonymous_page))
    assert found["aift_queue_oldest_wait_seconds",] == found["aift_lease_overdue_seconds",] == found["aift_queue_length",] == 0


def test_requests_are_counted(anonymous_page, db):
    key = ("aift_http_requests_total", "GET", "4xx")
    before = samples(scrape(anonymous_page)).get(key, 0)
    anonymous_page.get("/nowhere/at/all", headers={"Authorization": "Bearer x"})
    scrape(anonymous_page, "wrong")
    assert samples(scrape(anonymous_page))[key] >= before + 1


def test_the_number_of_queries_is_constant(anonymous_page, alice, new_job):
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert scrape(anonymous_page).status_code == 200
        return len(queries)

    few = count()
    for _ in range(5):
        make_event(new_job(alice, status="queued", queued_at=timezone.now()), 1)
    assert count() == few == 5


def test_the_token_is_not_logged(anonymous_page, db, caplog):
    with caplog.at_level(logging.DEBUG):
        scrape(anonymous_page)
        scrape(anonymous_page, "almost-" + TOKEN)
    assert TOKEN not in caplog.text
