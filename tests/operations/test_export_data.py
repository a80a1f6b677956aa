"""A person takes everything of theirs along: whole, nothing of others, nothing secret, once."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Credential, DataArchive, Notification, User
from accounts.services.create_api_key import create_api_key
from finetune.core import crypto, storage
from finetune.operations.retention import removable
from finetune.operations.services import export_data as exporting
from finetune.operations.services.export_data import export_data, make_archive
from models_app.trials import Comparison
from tests.factories import make_base_model, make_dataset, make_event, make_job

SECRETS = ("hf_secret_token", "a-long-enough-passphrase")


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    storage.remove_tree(storage.archive_file(0).parent)


@pytest.fixture
def filled(alice: User, charlie: User) -> User:
    dataset = make_dataset(alice, source_name="../../etc/passwd.jsonl")
    dataset.original_file.write_bytes(b'{"prompt": "Hi"}\n')
    job = make_job(alice, dataset=dataset, attempt=1, status="succeeded", train_split="train")
    for seq in (1, 2, 3):
        make_event(job, seq, step=seq, epoch=0.1, split="train", values={"loss": 1.0 / seq}, elapsed_seconds=seq)
    job.run_dir.mkdir(parents=True, exist_ok=True)
    (job.run_dir / "engine.log").write_text("it went well\n")
    Comparison.objects.create(owner=alice, messages=[], sides=[], vote="A")
    Credential.objects.create(
        owner=alice,
        kind="hf",
        ciphertext=crypto.encrypt(SECRETS[0]),
        last4="oken",
        checked_at=timezone.now(),
        info={"username": "al"},
    )
    AuditEntry.objects.create(actor=charlie, actor_name="charlie", action="make operator", target="alice", address="10.9.9.9")
    make_dataset(charlie, name="of charlie")
    make_job(charlie, name="of charlie")
    return alice


def made(user: User) -> DataArchive:
    archive = export_data(user=user)
    make_archive(archive.pk)
    archive.refresh_from_db()
    return archive


def test_the_archive_holds_everything_and_nothing_else(filled: User, api: Any, page: Any) -> None:
    key = create_api_key(user=filled, name="script", scopes=["read"])[1]
    archive = made(filled)
    assert (archive.status, archive.done, archive.total, archive.error) == ("ready", 2, 2, "")
    assert archive.file.stat().st_mode & 0o777 == 0o600
    content = b"".join(page.get("/settings/data/download").streaming_content)
    assert len(content) == archive.bytes
    assert content == b"".join(api.get("/api/auth/archive/download").streaming_content)
    packed = zipfile.ZipFile(io.BytesIO(content))
    assert packed.testzip() is None
    names = packed.namelist()
    assert not [name for name in names if name.startswith("/") or ".." in name or "passwd" in name]
    dataset, job = filled.datasets.get(), filled.jobs.get()  # type: ignore[attr-defined]
    text = {name: packed.read(name).decode() for name in names}
    assert text[f"datasets/{dataset.pk}/original.jsonl"] == '{"prompt": "Hi"}\n'
    assert text[f"jobs/{job.pk}/attempt-1-engine.log"] == "it went well\n"
    assert len(text[f"jobs/{job.pk}/metrics.csv"].splitlines()) == 4
    assert [json.loads(line)["seq"] for line in text[f"jobs/{job.pk}/events.jsonl"].splitlines()] == [1, 2, 3]
    assert json.loads(text[f"jobs/{job.pk}/spec.json"])["method"] == "lora"
    assert [vote["vote"] for vote in json.loads(text["votes.json"])] == ["A"]
    assert len(json.loads(text["models.json"])) == 1
    profile = json.loads(text["profile.json"])
    assert profile["email"] == "alice@example.org" and profile["credentials"][0]["last4"] == "oken"
    told = [json.loads(line) for line in text["audit.jsonl"].splitlines()]
    assert {"make operator", "export data"} <= {entry["action"] for entry in told}
    whole = "".join(text.values())
    stored = filled.credentials.get().ciphertext
    for secret in (*SECRETS, key, stored, filled.password, filled.api_keys.get().digest, "of charlie", "10.9.9.9"):  # type: ignore[attr-defined]
        assert secret not in whole
    notice = Notification.objects.get(owner=filled)
    assert (notice.kind, notice.path) == ("archive_ready", "/settings/data")


def test_one_is_made_at_a_time_and_only_the_newest_is_kept(filled: User, api: Any, page: Any) -> None:
    first = api.post("/api/auth/archive")
    assert first.status_code == 202 and first.data["status"] == "waiting"
    assert export_data(user=filled).pk == first.data["id"]
    assert "Being made" in page.get("/settings/data").content.decode()
    make_archive(first.data["id"])
    make_archive(first.data["id"])  # delivered twice
    assert Notification.objects.filter(owner=filled).count() == 1
    before = DataArchive.objects.get()
    again = made(filled)
    assert DataArchive.objects.get() == again and not before.file.exists()
    DataArchive.objects.update(status="making", touched_at=timezone.now() - timedelta(hours=1))
    assert export_data(user=filled).pk != again.pk  # its worker was lost


def test_it_expires(filled: User, page: Any, api: Any) -> None:
    archive = made(filled)
    assert archive.file not in {found.path for found in removable()}
    DataArchive.objects.update(expires_at=timezone.now())
    assert page.get("/settings/data/download").status_code == 409
    assert api.get("/api/auth/archive/download").json()["code"] == "no_archive"
    assert archive.file in {found.path for found in removable()}
    assert "has expired" in page.get("/settings/data").content.decode()


def test_drafts_and_jobs_of_every_state_are_in_it(alice: User) -> None:
    base = make_base_model(alice)
    jobs = [make_job(alice, model=base, status=status) for status in ("draft", "queued", "running", "failed", "cancelled")]
    archive = made(alice)
    assert (archive.status, archive.error) == ("ready", "")
    names = zipfile.ZipFile(archive.file).namelist()
    assert {f"jobs/{job.pk}/job.json" for job in jobs} <= set(names)


def test_the_day_it_is_removed_is_told(filled: User) -> None:
    waiting = export_data(user=filled)
    DataArchive.objects.update(created_at=timezone.now() - timedelta(days=3))  # its worker was busy for so long
    make_archive(waiting.pk)
    waiting.refresh_from_db()
    assert f"by {waiting.expires_at:%d %B};" in Notification.objects.get(owner=filled).text


def test_nobody_else_gets_it(filled: User, charlie_api: Any, charlie_page: Any) -> None:
    made(filled)
    assert charlie_api.get("/api/auth/archive").json() == []
    assert charlie_api.get("/api/auth/archive/download").status_code == 409
    assert charlie_page.get("/settings/data/download").status_code == 409


def test_a_full_disk_is_said_and_leaves_nothing(filled: User, page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_pour", full)
    archive = made(filled)
    assert archive.status == "failed" and "No space left" in archive.error
    assert list(storage.archive_file(0).parent.iterdir()) == []
    assert archive.error.split(".")[0] in page.get("/settings/data").content.decode()
    assert not Notification.objects.exists()


def test_a_key_of_a_script_does_not_take_everything_along(alice: User, client: Any) -> None:
    key = create_api_key(user=alice, name="script", scopes=["read", "write"])[1]
    headers = {"Authorization": f"Bearer {key}"}
    assert client.post("/api/auth/archive", headers=headers).status_code == 403
    assert client.get("/api/auth/archive/download", headers=headers).status_code == 403
