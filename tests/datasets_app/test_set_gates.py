"""Quality gates decide whether a dataset that can be read may be used."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_dataset, make_job

ROWS = [*pairs(8), *pairs(2)]


def test_a_dataset_beyond_its_owners_gate_is_invalid_and_says_why(alice: User, api: APIClient) -> None:
    assert api.put("/api/datasets/gates", {"gates": {"duplicate": 10}}).data["gates"] == {"duplicate": 10.0}
    assert api.get("/api/datasets/gates").data["gates"] == {"duplicate": 10.0}
    dataset = make_read(alice, jsonl(*ROWS))
    assert (dataset.status, dataset.errors) == ("invalid", 1)
    problem = next(problem for problem in dataset.report["problems"] if problem["rule"] == "gate_failed")
    assert "2 of 10 rows (20.0 %)" in problem["message"]
    assert api.get(f"/api/datasets/{dataset.pk}/preview").status_code == 200, "its rows may be looked at"
    assert api.post(f"/api/datasets/{dataset.pk}/split", {"train": 0.5}).status_code == 409


def test_a_datasets_own_gates_are_judged_at_once(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl(*ROWS))
    address = f"/api/datasets/{dataset.pk}/gates"
    for gates, status, errors in (
        ({"duplicate": 19.9}, "invalid", 1),
        ({"duplicate": 20}, "ready", 0),
        ({"duplicate": 0, "conflicting": 0}, "invalid", 1),
        (None, "ready", 0),
    ):
        assert api.put(address, {"gates": gates}).status_code == 200
        dataset.refresh_from_db()
        assert (dataset.status, dataset.errors) == (status, errors), gates
    assert api.get(address).data == {"gates": {}, "own": False}


def test_a_file_that_can_not_be_read_stays_invalid(alice: User, api: APIClient) -> None:
    dataset = make_read(alice, jsonl({"question": "a"}))
    assert api.put(f"/api/datasets/{dataset.pk}/gates", {"gates": {}}).status_code == 200
    dataset.refresh_from_db()
    assert dataset.status == "invalid"


@pytest.mark.parametrize(
    "gates", [{"nonsense": 1}, {"duplicate": 101}, {"duplicate": "5"}, {"duplicate": True}, [1], {"gate_failed": 0}]
)
def test_it_refuses_gates_that_make_no_sense(alice: User, api: APIClient, gates: object) -> None:
    dataset = make_dataset(alice)
    for address in ("/api/datasets/gates", f"/api/datasets/{dataset.pk}/gates"):
        answer = api.put(address, {"gates": gates})
        assert (answer.status_code, list(answer.data["fields"])) == (400, ["gates"])
    dataset.refresh_from_db()
    assert (dataset.gates, dataset.status) == (None, "ready")


def test_it_refuses_while_the_dataset_is_read_or_learned_from(alice: User, api: APIClient) -> None:
    used = make_job(alice, status="running").dataset
    for dataset in (make_dataset(alice, status="validating"), used):
        assert api.put(f"/api/datasets/{dataset.pk}/gates", {"gates": {"duplicate": 0}}).status_code == 409
    assert Dataset.objects.filter(gates__isnull=False).count() == 0


def test_strangers_find_nothing(alice: User, charlie_api: APIClient) -> None:
    dataset = make_dataset(alice)
    assert charlie_api.put(f"/api/datasets/{dataset.pk}/gates", {"gates": {}}).status_code == 404
