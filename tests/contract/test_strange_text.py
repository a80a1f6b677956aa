"""Text that one database takes and another refuses is never an error of ours. Meant for PostgreSQL; holds everywhere."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_base_model, make_dataset, make_job
from training.event_log import Entry, append
from training.failures import describe
from training.models import JobEvent, TrainingJob

LISTS = ("/datasets/", "/models/", "/training/", "/api/datasets", "/api/models", "/api/training")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", ["search=a%00b", "page=%00", "ordering=%00", "status=%00", "search=%ED%A0%80"])
def test_a_list_survives_any_query(path: str, query: str, page: Client, api: APIClient) -> None:
    client = api if path.startswith("/api/") else page
    assert client.get(f"{path}?{query}").status_code in {200, 400, 404}


def test_signing_in_with_a_nul_is_a_wrong_name(alice: User, anonymous_page: Client, anonymous_api: APIClient) -> None:
    body = {"username": "al\x00ice", "password": "nothing-of-hers"}
    assert anonymous_page.post("/sign-in", body).status_code in {200, 400, 422}
    assert anonymous_api.post("/api/auth/login", body).status_code in {400, 401}


def test_whatever_a_run_says_can_be_kept(alice: User) -> None:
    job = make_job(alice, status="running", attempt=1)
    job.run_dir.mkdir(parents=True, exist_ok=True)
    (job.run_dir / "engine.log").write_bytes(b"half a \xff line with \x00")
    append(
        TrainingJob.objects.filter(pk=job.pk),
        [Entry("sample", {"text": "nul \x00 and half \ud83d", "values": {"loss": 1.5}, "list": ["ü", "\x00"]})],
        error=describe(run_of(job), code="internal", message="\x00"),
    )
    event = JobEvent.objects.get(job=job)
    assert event.payload == {"text": "nul \ufffd and half \ufffd", "values": {"loss": 1.5}, "list": ["ü", "\ufffd"]}
    job.refresh_from_db()
    assert job.error["message"] == "\ufffd"


def test_a_nul_in_an_option_is_refused_by_name(alice: User, api: APIClient) -> None:
    body = {"name": "run", "model_id": make_base_model(alice).pk, "dataset_id": make_dataset(alice).pk, "method": "lora"}
    told = api.post("/api/training", {**body, "config": {"sample_prompts": ["a\x00b"]}})
    assert (told.status_code, list(told.data["fields"])) == (400, ["sample_prompts"])
    assert TrainingJob.objects.count() == 0


def run_of(job: TrainingJob):
    from training.engine.rundir import RunDir

    return RunDir(job.run_dir)
