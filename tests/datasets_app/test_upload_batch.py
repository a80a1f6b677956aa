"""Several files at once: one outcome for each, and a bad one spoils nothing."""

from __future__ import annotations

import io
import zipfile

from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from tests.datasets_app.conftest import jsonl, pairs, upload_file


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in files.items():
            target.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


def test_each_file_has_its_outcome(api: APIClient) -> None:
    files = [upload_file(jsonl(*pairs(2)), "good.jsonl"), upload_file(b"", "empty.jsonl"), upload_file(b"a,b\n1,2\n", "also.csv")]
    answer = api.post("/api/datasets/upload-batch", {"files": files}, format="multipart")
    assert answer.status_code == 200
    results = answer.data["results"]
    assert [(result["filename"], result["ok"]) for result in results] == [
        ("good.jsonl", True), ("empty.jsonl", False), ("also.csv", True)
    ]  # fmt: skip
    assert results[0]["dataset"]["name"] == "good"
    assert results[1]["error"]["code"] == "invalid"
    assert "0 bytes" in results[1]["error"]["detail"]
    assert Dataset.objects.count() == 2


def test_a_zip_counts_as_the_files_in_it(api: APIClient, alice: User) -> None:
    content = archive(a_jsonl=jsonl(*pairs(2)), folder__b_csv=b"text\nx\n", evil_png=b"\x89PNG", __MACOSX__x_jsonl=b"x")
    answer = api.post("/api/datasets/upload-batch", {"files": [upload_file(content, "all.zip")]}, format="multipart")
    assert [(result["filename"], result["ok"]) for result in answer.data["results"]][:3] == [
        ("a.jsonl", True), ("folder/b.csv", True), ("evil.png", False)
    ]  # fmt: skip
    assert sorted(Dataset.objects.for_user(alice).values_list("source_name", flat=True))[:2] == ["a.jsonl", "b.csv"]


def test_names_inside_a_zip_lead_nowhere(api: APIClient) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("../../../tmp/evil.jsonl", jsonl(*pairs(2)))
    answer = api.post("/api/datasets/upload-batch", {"files": [upload_file(buffer.getvalue(), "x.zip")]}, format="multipart")
    assert answer.data["results"][0]["dataset"]["source_name"] == "evil.jsonl"
    assert [path.name for path in Dataset.objects.get().directory.iterdir()] == ["original.jsonl"]


def test_a_zip_bomb_stops_at_the_limit(api: APIClient, settings: object) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000_000  # type: ignore[attr-defined]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("bomb.jsonl", b" " * 50_000_000)
        target.writestr("good.jsonl", jsonl(*pairs(2)))
    answer = api.post("/api/datasets/upload-batch", {"files": [upload_file(buffer.getvalue(), "x.zip")]}, format="multipart")
    assert [(result["ok"], result.get("error", {}).get("code")) for result in answer.data["results"]] == [
        (False, "too_large"), (True, None)
    ]  # fmt: skip


def test_what_is_no_zip_is_told(api: APIClient) -> None:
    for content in (b"PK\x03\x04 but no more", archive(a_jsonl=jsonl(*pairs(9)))[:60], archive()):
        answer = api.post("/api/datasets/upload-batch", {"files": [upload_file(content, "x.zip")]}, format="multipart")
        assert [result["ok"] for result in answer.data["results"]] == [False]
    assert Dataset.objects.count() == 0


def test_a_damaged_file_in_a_zip_spoils_only_itself(api: APIClient) -> None:
    content = bytearray(archive(a_jsonl=jsonl(*pairs(3)), b_jsonl=jsonl(*pairs(4))))
    content[60] ^= 0xFF  # inside the first file: its checksum no longer fits
    answer = api.post("/api/datasets/upload-batch", {"files": [upload_file(bytes(content), "x.zip")]}, format="multipart")
    assert [result["ok"] for result in answer.data["results"]] == [False, True]
    assert Dataset.objects.count() == 1


def test_no_files_are_refused(api: APIClient) -> None:
    answer = api.post("/api/datasets/upload-batch", {}, format="multipart")
    assert answer.status_code == 400
    assert "files" in answer.data["fields"]


def test_the_page_shows_one_outcome_for_each(page: Client) -> None:
    files = [upload_file(jsonl(*pairs(2)), "good.jsonl"), upload_file(b"", "empty.jsonl")]
    text = page.post("/datasets/upload", {"file": files}).content.decode()
    assert "good.jsonl" in text
    assert "The file is empty (0 bytes)." in text
    assert Dataset.objects.count() == 1
