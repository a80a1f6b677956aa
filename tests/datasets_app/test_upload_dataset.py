"""Taking a file in: stored once with its hash, or refused with nothing left behind."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.save_mapping import save_mapping
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.services.validate_dataset import ingest
from tests.datasets_app.conftest import jsonl, make_read, pairs, upload_file


def left_behind(settings: Any) -> list[str]:
    """Files of uploads that were not kept, and datasets' folders that are still being made."""
    waiting = [path.name for path in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir()]
    return waiting + [path.name for path in (settings.DATA_DIR / "datasets").glob(".*")]


def test_it_stores_the_bytes_and_starts_reading(
    alice: User, settings: Any, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = jsonl(*pairs(3))
    with django_capture_on_commit_callbacks() as queued:
        dataset = upload_dataset(owner=alice, file=upload_file(content, "legs.jsonl"), description="Mine.")
    assert len(queued) == 1
    assert (dataset.name, dataset.status, dataset.bytes) == ("legs", "uploaded", len(content))
    assert dataset.content_hash == hashlib.sha256(content).hexdigest()
    assert dataset.original_file.read_bytes() == content
    assert left_behind(settings) == []


def test_a_file_already_on_disk_is_moved_not_copied(alice: User, settings: Any) -> None:
    content = jsonl(*pairs(3), {"prompt": "bytes that no other test stores", "completion": "x"})
    with TemporaryUploadedFile("rows.jsonl", "application/jsonl", len(content), None) as file:
        file.write(content)
        file.flush()
        inode = Path(file.temporary_file_path()).stat().st_ino
        dataset = upload_dataset(owner=alice, file=file)
    assert dataset.original_file.stat().st_ino == inode
    assert left_behind(settings) == []


def test_gzip_is_stored_as_it_came(alice: User) -> None:
    dataset = make_read(alice, gzip.compress(jsonl(*pairs(5))), "rows.jsonl.gz")
    assert (dataset.status, dataset.rows, dataset.name) == ("ready", 5, "rows")


@pytest.mark.parametrize("name", ["../../evil.jsonl", "/etc/passwd.jsonl", "a\x00b.jsonl", "x" * 400 + ".jsonl"])
def test_a_users_file_name_is_never_a_path(alice: User, name: str) -> None:
    file = upload_file(jsonl(*pairs(2)))
    file._name = name  # what a library that does not clean names would hand over
    dataset = upload_dataset(owner=alice, file=file)
    assert [path.name for path in dataset.directory.iterdir()] == ["original.jsonl"]
    assert "/" not in dataset.source_name
    assert len(dataset.source_name) <= 255
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert dataset.status == "ready"


REFUSED = {
    "empty": (b"", "rows.jsonl", "", 400, "file", "0 bytes"),
    "binary": (b"\x00\x01\x02" * 100, "rows.jsonl", "", 400, "file", "NUL byte"),
    "ending": (b"{}", "rows.exe", "", 400, "file", ".exe"),
    "spreadsheet": (b"PK\x03\x04", "rows.xlsx", "", 400, "file", "save the sheet with the rows as CSV"),
    "unknown field": (b"{}\n", "rows.jsonl", '{"promt": "q"}', 400, "mapping", "promt"),
    "field twice": (b"{}\n", "rows.jsonl", '{"prompt": "q", "prompt": "r"}', 400, "mapping", "twice"),
    "no json": (b"{}\n", "rows.jsonl", "prompt=q", 400, "mapping", "not valid JSON"),
}


@pytest.mark.parametrize(("content", "name", "mapping", "status", "field", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_the_api_refuses_with_nothing_stored(
    api: APIClient, settings: Any, content: bytes, name: str, mapping: str, status: int, field: str, words: str
) -> None:
    answer = api.post("/api/datasets/upload", {"file": upload_file(content, name), "mapping": mapping}, format="multipart")
    assert answer.status_code == status, answer.data
    assert words in answer.data["fields"][field][0]
    assert Dataset.objects.count() == 0
    assert left_behind(settings) == []


def test_the_api_takes_a_file_with_name_description_and_mapping(api: APIClient, alice: User) -> None:
    mapping = {"prompt": "question", "completion": "answer"}
    body = {"file": upload_file(jsonl({"question": "a", "answer": "b"})), "name": "School", "description": "Sums."}
    answer = api.post("/api/datasets/upload", {**body, "mapping": json.dumps(mapping)}, format="multipart")
    assert answer.status_code == 201, answer.data
    dataset = Dataset.objects.for_user(alice).get(pk=answer.data["id"])
    assert (dataset.name, dataset.description, dataset.mapping) == ("School", "Sums.", mapping)
    assert (answer.data["status"], answer.data["rows"], answer.data["progress"]) == ("uploaded", None, None)
    ingest(dataset.pk)
    told = api.get(f"/api/datasets/{dataset.pk}").data
    assert (told["status"], told["format"], told["kind"], told["rows"]) == ("ready", "prompt_completion", "sft", 1)
    assert told["problems"] == {"errors": 0, "warnings": 1}
    assert told["splits"] == {"train": 1}


def test_more_than_the_limit_is_413_and_nothing_is_stored(api: APIClient, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 100
    answer = api.post("/api/datasets/upload", {"file": upload_file(jsonl(*pairs(50)))}, format="multipart")
    assert (answer.status_code, answer.data["code"]) == (413, "too_large")
    assert Dataset.objects.count() == 0
    assert left_behind(settings) == []


def test_a_file_that_is_not_one_is_refused(api: APIClient) -> None:
    assert api.post("/api/datasets/upload", {}, format="multipart").data["fields"] == {"file": ["No file was submitted."]}
    assert api.post("/api/datasets/upload", {"file": "text"}, format="multipart").status_code == 400
    assert api.post("/api/datasets/upload", {"file": "text"}).status_code == 415


def test_a_row_that_can_not_be_written_leaves_no_file(alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set((settings.DATA_DIR / "datasets").glob("*"))
    owner = User(username="never saved")
    with pytest.raises(ValueError, match="saved"):
        upload_dataset(owner=owner, file=upload_file(jsonl(*pairs(2))))
    assert Dataset.objects.count() == 0
    assert set((settings.DATA_DIR / "datasets").glob("*")) == before
    assert left_behind(settings) == []


def test_the_page_takes_one_file_and_shows_it(page: Client, alice: User) -> None:
    answer = page.post("/datasets/upload", {"file": upload_file(jsonl(*pairs(3))), "name": "Sums"})
    dataset = Dataset.objects.for_user(alice).get()
    assert answer["Location"] == f"/datasets/{dataset.pk}"
    assert dataset.name == "Sums"


def test_the_page_shows_the_refusal_in_the_form(page: Client) -> None:
    answer = page.post("/datasets/upload", {"file": upload_file(b"", "empty.jsonl")})
    assert answer.status_code == 400
    assert answer.context["form"].errors["file"] == ["The file is empty (0 bytes)."]
    answer = page.post("/datasets/upload", {"name": "nothing"})
    assert answer.status_code == 400
    assert "file" in answer.context["form"].errors
    answer = page.post("/datasets/upload", {"file": upload_file(jsonl(*pairs(1))), "axolotl": "nothing"})
    assert answer.status_code == 400
    assert "axolotl" in answer.context["form"].errors
    assert Dataset.objects.count() == 0


def test_the_page_maps_columns_with_a_saved_mapping(page: Client, alice: User, charlie: User) -> None:
    saved = save_mapping(owner=alice, name="mine", mapping={"prompt": "q", "completion": "a"})
    other = save_mapping(owner=charlie, name="his", mapping={"prompt": "q", "completion": "a"})
    assert page.post("/datasets/upload", {"file": upload_file(b"q,a\nx,y\n", "r.csv"), "saved": other.pk}).status_code == 400
    page.post("/datasets/upload", {"file": upload_file(b"q,a\nx,y\n", "r.csv"), "saved": saved.pk})
    assert Dataset.objects.for_user(alice).get().mapping == {"prompt": "q", "completion": "a"}


def test_a_full_disk_is_said_on_both_surfaces_and_nothing_is_stored(
    api: APIClient, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **values: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("finetune.core.storage.store_once", full)
    answer = api.post("/api/datasets/upload", {"file": upload_file(jsonl(pairs(2)), "r.jsonl")}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    shown = page.post("/datasets/upload", {"file": upload_file(jsonl(pairs(2)), "r.jsonl")})
    assert shown.status_code == 507 and "disk is full" in shown.content.decode()
    assert not Dataset.objects.exists()
