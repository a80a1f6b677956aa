"""Data sets from the Hub, fetched by the real client from a Hub on the loopback interface."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Credential, User
from datasets_app.formats.hubfiles import NoSuchFiles, choose_files
from datasets_app.models import Dataset
from datasets_app.services.download_dataset import download_dataset
from datasets_app.services.import_hub_dataset import import_hub_dataset
from datasets_app.services.validate_dataset import ingest
from finetune.core import crypto
from finetune.core.errors import Invalid
from tests.datasets_app.conftest import jsonl, pairs
from tests.loopback_hub import LoopbackHub

LARGE = jsonl(*({"prompt": f"{number} " * 5000, "completion": "x" * 5000} for number in range(150)))


@pytest.fixture(autouse=True)
def own_directory(settings: Any, tmp_path: Path) -> None:
    """Ids begin anew in every test, and files of another test's dataset must not lie there."""
    settings.DATA_DIR = tmp_path


@pytest.fixture
def hub(settings: Any) -> Iterator[LoopbackHub]:
    with LoopbackHub() as server:
        settings.HF_ENDPOINT = server.url
        yield server


def parquet(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def imported(owner: User, repo_id: str = "org/rows", **wanted: Any) -> Dataset:
    dataset = import_hub_dataset(owner=owner, repo_id=repo_id, **wanted)
    ingest(dataset.pk)
    dataset.refresh_from_db()
    return dataset


def reason(dataset: Dataset) -> str:
    assert dataset.status == "invalid"
    return dataset.report["problems"][0]["message"]


def test_one_file_is_fetched_and_read(hub: LoopbackHub, alice: User) -> None:
    content = jsonl(*pairs(3000))
    repo = hub.add("datasets", "org/rows", {"train.jsonl": content, "README.md": b"# Rows", "test.jsonl": jsonl(*pairs(2))})
    dataset = imported(alice)
    assert (dataset.status, dataset.format, dataset.rows, dataset.origin) == ("ready", "prompt_completion", 3000, "hub"), (
        dataset.report
    )
    assert (dataset.source_name, dataset.bytes, dataset.name) == ("train.jsonl", len(content), "rows")
    assert dataset.origin_detail["commit"] == repo.commit
    assert dataset.original_file.read_bytes() == content
    assert sorted(path.name for path in dataset.directory.iterdir()) == ["original.jsonl", "rows.parquet"]
    assert all(value is None for value in hub.authorizations)


def test_shards_are_read_as_one_file_and_given_back_together(hub: LoopbackHub, alice: User) -> None:
    shards = {f"data/train-0000{number}-of-00003.parquet": parquet(pairs(5 + number)) for number in range(3)}
    hub.add("datasets", "org/rows", shards)
    dataset = imported(alice)
    assert (dataset.status, dataset.rows, dataset.source_name) == ("ready", 18, "rows.zip")
    assert pq.read_table(dataset.rows_file).column("line").to_pylist() == list(range(1, 19))
    download = download_dataset(dataset=dataset)
    with zipfile.ZipFile(io.BytesIO(b"".join(download.chunks))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == shards
    again = imported(alice)
    assert again.original_file.stat().st_ino == dataset.original_file.stat().st_ino


def test_lines_go_on_from_shard_to_shard(hub: LoopbackHub, alice: User) -> None:
    hub.add(
        "datasets", "org/rows", {"a/train-1.jsonl": jsonl(*pairs(3)), "a/train-2.jsonl": jsonl(*pairs(1), "{broken", *pairs(1))}
    )
    dataset = imported(alice)
    (problem,) = [problem for problem in dataset.report["problems"] if problem["rule"] == "invalid_json"]
    assert problem["line"] == 5
    assert "a/train-2.jsonl" in problem["message"]


def test_a_download_that_breaks_is_taken_up_again(hub: LoopbackHub, alice: User) -> None:
    content = LARGE
    hub.add("datasets", "org/rows", {"train.jsonl": content})
    hub.cut_after = 2 * 1024**2 + 7
    assert imported(alice).original_file.read_bytes() == content
    assert hub.ranges
    assert hub.ranges[0] != "bytes=0-"


def test_progress_is_told_in_bytes(hub: LoopbackHub, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict] = []
    monkeypatch.setattr("datasets_app.hub_import.REPORT_EVERY", 0)
    monkeypatch.setattr("datasets_app.claims.announce", lambda pk, progress=None: told.append(progress or {}))
    content = LARGE
    hub.add("datasets", "org/rows", {"train.jsonl": content})
    imported(alice)
    fetched = [progress for progress in told if progress.get("total") == len(content)]
    assert fetched
    assert fetched[0]["unit"] == "bytes"
    assert [progress["done"] for progress in fetched[:3]] == sorted(progress["done"] for progress in fetched[:3])


def test_a_token_is_sent_and_never_shown(hub: LoopbackHub, alice: User, caplog: pytest.LogCaptureFixture) -> None:
    hub.add_token("hf_secret")
    hub.add("datasets", "org/rows", {"train.jsonl": jsonl(*pairs(4))}, private=True)
    assert "private" in reason(imported(alice))
    values = {"ciphertext": crypto.encrypt("hf_secret"), "last4": "cret", "checked_at": timezone.now()}
    Credential.objects.create(owner=alice, kind=Credential.Kind.HUGGING_FACE, **values)
    dataset = imported(alice)
    assert dataset.status == "ready"
    assert "Bearer hf_secret" in hub.authorizations
    assert "hf_secret" not in caplog.text + str(dataset.report) + str(dataset.origin_detail)


def test_refusals_are_in_words(hub: LoopbackHub, alice: User, settings: Any) -> None:
    assert "There is no data set “org/rows”" in reason(imported(alice))
    hub.add("datasets", "org/rows", {"train.jsonl": jsonl(*pairs(4))}, gated=True)
    assert "gated" in reason(imported(alice))
    hub.add("datasets", "org/rows", {"train.jsonl": jsonl(*pairs(4))})
    assert "no revision “v9”" in reason(imported(alice, revision="v9"))
    assert "There is: train" in reason(imported(alice, split="test"))
    hub.add("datasets", "org/pictures", {"a.png": b"\x89PNG"})
    assert "no files we can read" in reason(imported(alice, "org/pictures"))
    hub.fail(429, Retry_After="7")
    assert "7 s" in reason(imported(alice))
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    assert "can't be reached" in reason(imported(alice))


def test_more_than_the_limit_is_not_fetched(hub: LoopbackHub, alice: User, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 100
    hub.add("datasets", "org/rows", {"train.jsonl": jsonl(*pairs(40))})
    assert "the limit is" in reason(imported(alice))
    assert not [path for method, path in hub.requests if "resolve" in path]


def test_a_failed_import_can_be_tried_again(hub: LoopbackHub, alice: User, api: APIClient) -> None:
    dataset = imported(alice)
    assert dataset.status == "invalid"
    assert api.get(f"/api/datasets/{dataset.pk}/download").status_code == 409
    hub.add("datasets", "org/rows", {"train.jsonl": jsonl(*pairs(4))})
    assert api.post(f"/api/datasets/{dataset.pk}/validate").status_code == 202
    ingest(dataset.pk)
    dataset.refresh_from_db()
    assert dataset.status == "ready"


def test_one_deleted_while_it_is_fetched_leaves_nothing(hub: LoopbackHub, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.hub_import.REPORT_EVERY", 0)
    hub.add("datasets", "org/rows", {"train.jsonl": LARGE})
    dataset = import_hub_dataset(owner=alice, repo_id="org/rows")
    monkeypatch.setattr(
        "datasets_app.claims.announce",
        lambda pk, progress=None: progress and Dataset.objects.filter(pk=pk).delete(),
    )
    ingest(dataset.pk)
    assert not dataset.directory.exists()


def test_the_api_answers_at_once(api: APIClient, alice: User, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks() as queued:
        answer = api.post(
            "/api/datasets/import-hub", {"repo_id": "https://huggingface.co/datasets/org/rows/tree/main", "split": "test"}
        )
    assert (answer.status_code, answer.data["status"], answer.data["origin"], len(queued)) == (202, "uploaded", "hub", 1)
    dataset = Dataset.objects.for_user(alice).get()
    assert (dataset.origin_detail["repo_id"], dataset.name) == ("org/rows", "rows · test")


@pytest.mark.parametrize("repo_id", ["", "a/b/c", "../x", "a b/c", "https://example.org/", "x" * 300])
def test_what_can_be_no_repository_is_refused(repo_id: str, alice: User, api: APIClient) -> None:
    answer = api.post("/api/datasets/import-hub", {"repo_id": repo_id})
    assert answer.status_code == 400
    assert "repo_id" in answer.data["fields"]
    assert Dataset.objects.count() == 0


def test_nobody_signed_out_imports(anonymous_api: APIClient, anonymous_page: Client, alice: User) -> None:
    assert anonymous_api.post("/api/datasets/import-hub", {"repo_id": "org/rows"}).status_code == 401
    assert anonymous_page.post("/datasets/import", {"repo_id": "org/rows"}).status_code == 302
    assert Dataset.objects.count() == 0


def test_the_page_imports_and_refuses_in_the_form(page: Client, alice: User) -> None:
    answer = page.post("/datasets/import", {"repo_id": "a/b/c"})
    assert answer.status_code == 400
    assert "owner/name" in answer.content.decode()
    answer = page.post("/datasets/import", {"repo_id": "org/rows", "split": "train"})
    assert answer["Location"] == f"/datasets/{Dataset.objects.for_user(alice).get().pk}"


FILES = [
    "README.md",
    "data/train-0.parquet",
    "data/train-1.parquet",
    "data/test-0.parquet",
    "de/train.jsonl",
    "de/dev.jsonl",
    "raw.csv",
]


@pytest.mark.parametrize(
    ("configs", "subset", "split", "chosen"),
    [
        ([], "", "", ["data/train-0.parquet", "data/train-1.parquet"]),
        ([], "", "test", ["data/test-0.parquet"]),
        ([], "de", "", ["de/train.jsonl"]),
        ([], "de", "validation", ["de/dev.jsonl"]),
        ([{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}, {"split": "gold", "path": ["raw.*"]}]}], "", "gold", ["raw.csv"]),
        ([{"config_name": "a", "data_files": "de/**"}, {"config_name": "b", "default": True, "data_files": "raw.csv"}], "", "", ["raw.csv"]),
        ([{"config_name": "a", "data_files": "de/**"}], "a", "", ["de/dev.jsonl", "de/train.jsonl"]),
    ],
)  # fmt: skip
def test_files_are_chosen_by_card_or_by_name(configs: list, subset: str, split: str, chosen: list[str]) -> None:
    assert choose_files(FILES, configs, subset, split) == chosen


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(NoSuchFiles, match="de") as refusal:
        choose_files(FILES, [], "fr", "")
    assert refusal.value.field == "subset"
    with pytest.raises(NoSuchFiles, match="train"):
        choose_files(FILES, [{"data_files": [{"split": "train", "path": "raw.csv"}]}], "", "test")
    with pytest.raises(Invalid):
        import_hub_dataset(owner=User(), repo_id="org/rows", split="x" * 101)
