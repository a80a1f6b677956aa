"""Several files at once: one outcome for each, and a bad one spoils nothing."""

from __future__ import annotations

import io
import json
import zipfile

from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.validate_dataset import ingest
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


INDEX = json.dumps({
    "sums": {"file_name": "sums.json", "columns": {"prompt": "q", "response": "r"}},
    "other": {"file_name": "elsewhere.json"},
}).encode()  # fmt: skip
SUMS = json.dumps([{"q": "1 + 1", "r": "2"}, {"q": "2 + 2", "r": "4"}]).encode()


def test_llamafactorys_index_is_followed_beside_files_and_in_an_archive(api: APIClient, alice: User) -> None:
    beside = [upload_file(SUMS, "sums.json"), upload_file(INDEX, "dataset_info.json"), upload_file(jsonl(*pairs(2)), "x.jsonl")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("data/sums.json", SUMS)
        target.writestr("data/dataset_info.json", INDEX)
    for files in (beside, [upload_file(buffer.getvalue(), "all.zip")]):
        results = api.post("/api/datasets/upload-batch", {"files": files}, format="multipart").data["results"]
        assert [result["ok"] for result in results] == [True] * len(results)
        assert results[0]["dataset"]["mapping"] == {"instruction": "q", "output": "r"}
        assert results[0]["note"]
        assert "1 file" in results[1]["note"]
    dataset = Dataset.objects.for_user(alice).filter(source_name="sums.json").first()
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.format, dataset.rows) == ("ready", "alpaca", 2)


def test_a_mapping_that_is_given_goes_before_the_index(api: APIClient) -> None:
    files = [upload_file(SUMS, "sums.json"), upload_file(INDEX, "dataset_info.json")]
    body = {"files": files, "mapping": json.dumps({"prompt": "q", "completion": "r"})}
    results = api.post("/api/datasets/upload-batch", body, format="multipart").data["results"]
    assert results[0]["dataset"]["mapping"] == {"prompt": "q", "completion": "r"}


def test_an_index_that_fits_nothing_is_refused_alone(api: APIClient) -> None:
    for content in (INDEX, b"{", b"[]"):
        files = [upload_file(content, "dataset_info.json"), upload_file(jsonl(*pairs(2)), "x.jsonl")]
        results = api.post("/api/datasets/upload-batch", {"files": files}, format="multipart").data["results"]
        assert [result["ok"] for result in results] == [False, True]


def test_a_zip_uploaded_alone_stands_for_its_one_file(api: APIClient) -> None:
    one = archive(a_jsonl=jsonl(*pairs(2)))
    answer = api.post("/api/datasets/upload", {"file": upload_file(one, "one.zip"), "name": "Mine"}, format="multipart")
    assert (answer.status_code, answer.data["source_name"], answer.data["name"]) == (201, "a.jsonl", "Mine")
    two = archive(a_jsonl=jsonl(*pairs(2)), b_csv=b"text\nx\n")
    answer = api.post("/api/datasets/upload", {"file": upload_file(two, "two.zip")}, format="multipart")
    assert answer.status_code == 400
    assert "2 files (a.jsonl, b.csv)" in answer.data["fields"]["file"][0]
    assert api.post("/api/datasets/upload", {"file": upload_file(b"no", "x.zip")}, format="multipart").status_code == 400
    assert Dataset.objects.count() == 1


def test_an_archives_files_together_stay_under_the_limit(api: APIClient, settings: object) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000_000  # type: ignore[attr-defined]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for number in range(5):
            target.writestr(f"{number}.txt", b"word " * 60_000)
    results = api.post("/api/datasets/upload-batch", {"files": [upload_file(buffer.getvalue(), "x.zip")]}, format="multipart").data[
        "results"
    ]
    assert [result["ok"] for result in results] == [True, True, True, False, False]


def test_with_javascript_each_outcome_is_a_row_that_asks_for_itself(page: Client, alice: User) -> None:
    answer = page.post("/datasets/upload", {"file": upload_file(jsonl(*pairs(2)))}, headers={"HX-Request": "true"})
    text = answer.content.decode()
    dataset = Dataset.objects.for_user(alice).get()
    assert f'hx-get="/datasets/{dataset.pk}/outcome"' in text
    assert "<html" not in text
    ingest(dataset.pk)
    told = page.get(f"/datasets/{dataset.pk}/outcome").content.decode()
    assert "Prompt + completion" in told
    assert "hx-get" not in told
    refused = page.post("/datasets/upload", {"file": upload_file(b"", "e.jsonl")}, headers={"HX-Request": "true"})
    assert (refused.status_code, "0 bytes" in refused.content.decode()) == (200, True)
    assert "e.jsonl" in refused.content.decode()
