"""The same bytes lie on the disk once, whoever uploaded them, and go with the last dataset that needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import delete_dataset
from datasets_app.services.download_dataset import download_dataset
from datasets_app.services.upload_dataset import upload_dataset
from finetune.core import storage
from tests.datasets_app.conftest import jsonl, make_read, pairs, upload_file

CONTENT = jsonl(*pairs(5), {"prompt": "stored once", "completion": "yes"})


@pytest.fixture(autouse=True)
def own_directory(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def blobs(settings: Any) -> list[Path]:
    return [path for path in (settings.DATA_DIR / "blobs").rglob("*") if path.is_file()]


@pytest.mark.django_db(transaction=True)
def test_two_datasets_share_one_copy_until_the_last_goes(settings: Any) -> None:
    alice, charlie = (User.objects.create_user(name, f"{name}@example.org", "x") for name in ("a", "c"))
    first, second = make_read(alice, CONTENT), make_read(charlie, CONTENT, "other.jsonl")
    assert first.original_file.stat().st_ino == second.original_file.stat().st_ino
    assert [path.name for path in blobs(settings)] == [first.content_hash]
    delete_dataset(dataset=first)
    assert b"".join(download_dataset(dataset=second).chunks) == CONTENT
    assert len(blobs(settings)) == 1
    delete_dataset(dataset=second)
    assert blobs(settings) == []


def test_a_copy_of_another_size_is_not_believed(alice: User, settings: Any) -> None:
    first = make_read(alice, CONTENT)
    blob = storage.blob_file(first.content_hash)
    blob.unlink()
    blob.write_bytes(b"torn")
    assert make_read(alice, CONTENT).original_file.read_bytes() == CONTENT


def test_a_file_system_without_links_works_too(alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("finetune.core.storage.os.link", refuse)
    assert make_read(alice, CONTENT).original_file.read_bytes() == CONTENT
    assert blobs(settings) == []


def test_a_refused_upload_leaves_no_copy(settings: Any, db: None) -> None:
    with pytest.raises(ValueError, match="saved"):
        upload_dataset(owner=User(username="never saved"), file=upload_file(CONTENT))
    assert blobs(settings) == []
    assert Dataset.objects.count() == 0
