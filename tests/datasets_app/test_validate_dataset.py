"""Reading a file: one claim, one outcome, words when it stops, never half a file."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services import validate_dataset as module
from datasets_app.services.validate_dataset import ingest, validate_dataset
from finetune.core.errors import Conflict, Invalid
from tests.datasets_app.conftest import jsonl, make_read, pairs
from tests.factories import make_dataset, make_job


def files_of(dataset: Dataset) -> list[str]:
    return sorted(path.name for path in dataset.directory.iterdir())


def test_a_file_with_bad_lines_is_ready_and_says_which(alice: User, api: APIClient) -> None:
    rows: list = pairs(1000)
    rows[2] = rows[500] = rows[998] = "{bad"
    dataset = make_read(alice, jsonl(*rows))
    assert (dataset.status, dataset.rows, dataset.errors, dataset.splits) == ("ready", 1000, 3, {"train": 997})
    assert files_of(dataset) == ["original.jsonl", "problems", "rows.parquet"]
    told = api.get(f"/api/datasets/{dataset.pk}/validation").data
    assert (told["status"], told["rows"], told["valid_rows"], told["counts"]) == ("ready", 1000, 997, {"invalid_json": 3})
    assert [problem["line"] for problem in told["problems"]] == [3, 501, 999]
    first = told["problems"][0]
    assert set(first) == {"rule", "severity", "row", "line", "column", "path", "message", "excerpt"}
    assert (first["severity"], first["excerpt"]) == ("error", "{bad")


@pytest.mark.parametrize(
    ("content", "name", "rule"),
    [
        (jsonl({"q": "a", "a": "b"}), "rows.jsonl", "unknown_format"),
        (b"What is 1 + 1?,2\nWhat is 2 + 2?,4\n", "rows.csv", "no_header"),
        (b"\n", "rows.jsonl", "no_rows"),
        (jsonl({"prompt": "a", "completion": ""}), "rows.jsonl", "empty_field"),
        (b"{}", "rows.json", "unknown_format"),
        (jsonl({"input_ids": [1, 2], "attention_mask": [1, 1], "labels": [-100, 2]}), "rows.jsonl", "tokens_not_text"),
    ],
)
def test_a_file_without_usable_rows_is_invalid_and_says_why(alice: User, content: bytes, name: str, rule: str) -> None:
    dataset = make_read(alice, content, name)
    assert (dataset.status, list(dataset.report["counts"]), dataset.splits) == ("invalid", [rule], {})
    assert dataset.report["problems"][0]["line"] == 1
    assert files_of(dataset) == [dataset.original_file.name]


def test_a_mapping_makes_an_invalid_dataset_ready(alice: User, api: APIClient, django_capture_on_commit_callbacks: Any) -> None:
    dataset = make_read(alice, jsonl({"q": "a", "a": "b"}, {"q": "c", "a": "d"}))
    assert dataset.status == "invalid"
    with django_capture_on_commit_callbacks() as queued:
        answer = api.post(f"/api/datasets/{dataset.pk}/validate", {"mapping": {"prompt": "q", "completion": "a"}})
    assert (answer.status_code, answer.data["status"], len(queued)) == (202, "uploaded", 1)
    assert api.get(f"/api/datasets/{dataset.pk}/validation").data["problems"] == []
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.format, dataset.restarts) == ("ready", "prompt_completion", 0)


def test_a_worse_mapping_takes_the_rows_away(alice: User) -> None:
    dataset = make_read(alice, jsonl(*pairs(3)))
    validate_dataset(dataset=dataset, mapping={"prompt": "nowhere"})
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, files_of(dataset)) == ("invalid", ["original.jsonl"])
    validate_dataset(dataset=dataset, mapping={})
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert dataset.status == "ready"


def test_it_refuses_a_dataset_that_is_being_read(alice: User, api: APIClient, django_capture_on_commit_callbacks: Any) -> None:
    for status in ("uploaded", "validating"):
        dataset = make_dataset(alice, status=status)
        with django_capture_on_commit_callbacks() as queued:
            assert api.post(f"/api/datasets/{dataset.pk}/validate").status_code == 409
        assert queued == []
        dataset.refresh_from_db()
        assert dataset.status == status


def test_it_refuses_while_a_job_learns_from_it(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    job = make_job(alice, status="running", name="evening run")
    with django_capture_on_commit_callbacks() as queued, pytest.raises(Conflict, match="evening run"):
        validate_dataset(dataset=job.dataset)
    assert queued == []
    job.dataset.refresh_from_db()
    assert job.dataset.status == "ready"


def test_it_refuses_a_mapping_that_makes_no_sense(alice: User, api: APIClient) -> None:
    dataset = make_dataset(alice)
    with pytest.raises(Invalid, match="promt"):
        validate_dataset(dataset=dataset, mapping={"promt": "x"})
    assert "mapping" in api.post(f"/api/datasets/{dataset.pk}/validate", {"mapping": [1]}).data["fields"]
    answer = api.post(f"/api/datasets/{dataset.pk}/validate", {"max_lenght": 3})
    assert (answer.status_code, list(answer.data["fields"])) == (400, ["max_lenght"])
    dataset.refresh_from_db()
    assert (dataset.status, dataset.mapping) == ("ready", {})


def test_strangers_find_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    dataset = make_dataset(alice)
    assert charlie_api.post(f"/api/datasets/{dataset.pk}/validate").status_code == 404
    assert charlie_api.get(f"/api/datasets/{dataset.pk}/validation").status_code == 404
    assert charlie_page.post(f"/datasets/{dataset.pk}/validate").status_code == 404
    dataset.refresh_from_db()
    assert dataset.status == "ready"


def test_the_page_reads_again_with_a_mapping(alice: User, page: Client) -> None:
    dataset = make_read(alice, jsonl({"question": "a", "answer": "b"}))
    assert "prompt ← question, completion ← answer" in page.get(f"/datasets/{dataset.pk}").content.decode()
    answer = page.post(f"/datasets/{dataset.pk}/validate", {"map_prompt": "question", "map_completion": "answer"})
    assert answer.status_code == 302
    dataset.refresh_from_db()
    assert (dataset.status, dataset.mapping) == ("uploaded", {"prompt": "question", "completion": "answer"})
    assert page.post(f"/datasets/{dataset.pk}/validate", {}).status_code == 400


def test_a_message_delivered_twice_reads_once(alice: User) -> None:
    dataset = make_read(alice, jsonl(*pairs(3)))
    written = dataset.rows_file.stat().st_mtime_ns
    ingest(dataset.pk)
    ingest(10**9)
    dataset.refresh_from_db()
    assert (dataset.attempt, dataset.rows_file.stat().st_mtime_ns) == (1, written)


def test_a_reader_that_lost_its_claim_changes_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_read(alice, jsonl(*pairs(3)))
    validate_dataset(dataset=dataset)
    real = module.convert

    def overtaken(*args: Any, **options: Any) -> Any:
        outcome = real(*args, **options)
        Dataset.objects.filter(pk=dataset.pk).update(attempt=99)  # reconcile took us for dead; another reader is at work
        return outcome

    monkeypatch.setattr(module, "convert", overtaken)
    before = dataset.rows_file.stat().st_mtime_ns
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.attempt, dataset.rows_file.stat().st_mtime_ns) == ("validating", 99, before)
    assert files_of(dataset) == ["original.jsonl", "rows.parquet"]


def test_a_dataset_deleted_while_it_is_read_stays_deleted(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_read(alice, jsonl(*pairs(3)))
    validate_dataset(dataset=dataset)
    real = module.convert

    def deleted(*args: Any, **options: Any) -> Any:
        outcome = real(*args, **options)
        Dataset.objects.filter(pk=dataset.pk).delete()
        return outcome

    monkeypatch.setattr(module, "convert", deleted)
    ingest(dataset.pk)
    assert not Dataset.objects.filter(pk=dataset.pk).exists()


def test_a_missing_file_and_a_full_disk_are_said_in_words(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_read(alice, jsonl(*pairs(3)))
    validate_dataset(dataset=dataset)

    def full(*args: Any, **options: Any) -> None:
        args[1].write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "convert", full)
        ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.report["problems"][0]["rule"]) == ("invalid", "not_read")
    assert "disk is full" in dataset.report["problems"][0]["message"]
    assert ".rows" not in "".join(files_of(dataset))
    dataset.original_file.unlink()
    validate_dataset(dataset=dataset)
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert "missing on the server" in dataset.report["problems"][0]["message"]


def test_progress_is_kept_in_the_row_while_it_reads(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.formats.convert.REPORT_EVERY", 0)
    monkeypatch.setattr("datasets_app.formats.blocks.BLOCK", 20_000)
    seen: list[dict] = []
    real = module.Claim.progress

    def watched(claim: Any, done: int, total: int, unit: str = "bytes") -> None:
        real(claim, done, total, unit)
        seen.append(Dataset.objects.values_list("progress", flat=True).get(pk=claim.pk))

    monkeypatch.setattr(module.Claim, "progress", watched)
    dataset = make_read(alice, jsonl(*pairs(5000)))
    assert len(seen) > 5
    assert all(set(progress) == {"done", "total", "unit", "rate", "eta_seconds"} for progress in seen)
    read = [progress["done"] for progress in seen if progress["unit"] == "bytes"]
    assert read[-1] == dataset.bytes
    assert read == sorted(read)
    assert (seen[-1]["unit"], seen[-1]["done"]) == ("rows", 5000)
    assert dataset.progress is None
