"""Each thing an installation rests on, broken on purpose: the doctor names it, says what to do, and never hangs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.models import Credential
from celery_worker.lifecycle import BEAT_SEEN
from finetune.core import crypto, storage
from finetune.core.errors import Unavailable
from finetune.core.hub_reach import reach
from finetune.operations.checks import broker, clock, database, devices, files, hub, keys, orphans, workers
from finetune.operations.services import examine_installation as verb
from tests.factories import make_dataset, make_version
from tests.operations.installation import Installation


def said(check) -> dict[str, str]:
    """Text → level."""
    return {item.text: item.level for item in check.examine()}


def level_of(check, word: str) -> str:
    (level,) = {level for text, level in said(check).items() if word in text}
    return level


@pytest.fixture
def own_files(settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    (tmp_path / "secrets.json").touch(mode=0o600)
    return tmp_path


# --- Everything down ----------------------------------------------------------------------------


def test_it_works_when_nothing_else_does(tmp_path):
    """Neither broker nor database nor Hub: exit code 1, every check named, no secret printed, in seconds."""
    dead = {"REDIS_URL": "redis://:brokerpassword@127.0.0.1:9/0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    installation = Installation(tmp_path, "postgresql://aift:databasepassword@127.0.0.1:9/aift", dead)
    began = time.monotonic()

    answer = installation.manage("doctor", "--json", check=False)

    assert answer.returncode == 1 and time.monotonic() - began < 60
    found = json.loads(answer.stdout)
    levels = {(item["check"], item["level"]) for item in found["findings"]}
    assert found["level"] == "bad"
    assert {("database", "bad"), ("broker", "bad"), ("workers", "warn"), ("keys", "warn"), ("orphans", "warn")} < levels
    assert {("hub", "warn"), ("files", "ok"), ("devices", "ok")} < levels
    assert all(item["remedy"] for item in found["findings"] if item["level"] != "ok")
    assert "brokerpassword" not in answer.stdout + answer.stderr and "databasepassword" not in answer.stdout + answer.stderr


def test_a_check_that_breaks_is_a_finding(monkeypatch, db):
    def examine():
        raise RuntimeError("hf_AbCdEfGhIjKl is no number")
        yield

    monkeypatch.setattr(devices, "examine", examine)
    monkeypatch.setattr(verb, "CHECKS", (devices,))
    (found,) = verb.examine_installation()
    assert found.level == "bad" and "RuntimeError" in found.text and "AbCdEf" not in found.text


# --- Database, broker, workers ------------------------------------------------------------------


def test_a_good_database(transactional_db):
    assert set(said(database).values()) == {"ok"}


def test_a_database_that_does_not_answer(monkeypatch, db):
    def refuse(*args):
        raise OperationalError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(database, "_knock", refuse)
        patched.setattr(connection, "cursor", refuse)
        found = said(database)
    assert found == {"The database does not answer: the disk is gone": "bad"}


def test_missing_migrations_and_those_of_a_newer_release(db):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'accounts'")
        assert level_of(database, "are not applied: accounts.0001") == "bad"
        for name in sorted(path.stem for path in Path(django_settings.BASE_DIR).glob("accounts/migrations/0*.py")):
            cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', %s, %s)", [name, timezone.now()])
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('training', '9999_later', %s)", [timezone.now()])
    assert level_of(database, "newer release: it has training.9999_later") == "bad"


@pytest.fixture
def real_broker() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(django_settings.REDIS_URL, decode_responses=True)
    before = client.config_get("maxmemory-policy")
    yield client
    client.config_set("maxmemory-policy", before["maxmemory-policy"])


def test_a_broker_that_evicts_or_forgets(real_broker):
    assert level_of(broker, "append-only file") == "warn"  # the tests' broker keeps nothing
    real_broker.config_set("maxmemory-policy", "allkeys-lru")
    assert level_of(broker, "throws messages away (allkeys-lru)") == "bad"


def test_queues_that_nobody_serves_and_a_silent_beat(monkeypatch):
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.3)
    cache.delete(BEAT_SEEN)
    found = said(workers)
    assert (
        found["Nobody serves the queue train: no job starts."]
        == found["Nobody serves the queue default: no dataset is read."]
        == "bad"
    )
    assert found["Beat never sent anything: what a crash leaves is not put right."] == "bad"
    cache.set(BEAT_SEEN, time.time() - 600)
    assert level_of(workers, "silent for 10 minutes") == "bad"
    cache.set(BEAT_SEEN, time.time())
    assert level_of(workers, "Beat sent something") == "ok"
    cache.delete(BEAT_SEEN)


# --- Files, keys, orphans -----------------------------------------------------------------------


def test_a_disk_that_is_nearly_full(monkeypatch, alice, own_files):
    make_version(alice, bytes=10**10)
    for free, level in ((5 * 10**9, "bad"), (2 * 10**10, "warn"), (10**12, "ok")):
        monkeypatch.setattr(files.shutil, "disk_usage", lambda path, free=free: type("Usage", (), {"free": free}))
        assert level_of(files, "free") == level


def test_a_directory_that_can_not_be_written(db, own_files, settings):
    settings.DATA_DIR = own_files / "gone"
    assert files._writable().level == "bad"


def test_secrets_that_others_can_read(own_files, monkeypatch, db):
    assert level_of(files, "secrets.json") == "ok"
    (own_files / "secrets.json").chmod(0o644)
    assert level_of(files, "secrets.json") == "bad"
    (own_files / "secrets.json").unlink()
    assert level_of(files, "missing") == "bad"
    monkeypatch.setenv("SECRET_KEY", "x")
    monkeypatch.setenv("FIELD_ENCRYPTION_KEYS", "x")
    assert level_of(files, "environment") == "ok"


def test_a_folder_that_others_can_look_into(own_files, db):
    own_files.chmod(0o755)
    assert level_of(files, "look into") == "warn"
    own_files.chmod(0o700)
    assert level_of(files, f"{own_files} is its owner's only") == "ok"


def test_what_a_restore_that_was_cut_off_left(own_files, db):
    (own_files / ".replaced-1a2b-models").mkdir()
    assert level_of(files, ".replaced-1a2b-models") == "bad"


def test_keys_that_open_nothing_or_are_old(alice, settings):
    assert said(keys) == {"No secret is stored.": "ok"}
    values = {"owner": alice, "kind": "hf", "last4": "x", "checked_at": timezone.now()}
    Credential.objects.create(ciphertext=crypto.encrypt("hf_x"), **values)
    assert set(said(keys).values()) == {"ok"}
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    assert level_of(keys, "older key") == "warn"
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    assert level_of(keys, "can't be read") == "bad"


def test_files_without_rows_and_rows_without_files(alice, own_files):
    dataset = make_dataset(alice)
    assert set(said(orphans).values()) == {"ok"}
    lost = storage.job_dir(4711)
    lost.mkdir(parents=True)
    (lost / "x").write_bytes(b"x" * 2000)
    dataset.rows_file.unlink()

    found = said(orphans)

    assert any("1 directories under runs/ belong to no row (2.0 kB): 4711" in text for text in found)
    assert any(text.startswith("1 datasets say that they are ready") for text in found)
    assert set(found.values()) == {"warn"}


# --- Outside ------------------------------------------------------------------------------------


def test_clocks_that_differ(monkeypatch, db):
    assert set(said(clock).values()) == {"ok"}
    for apart, level in ((5, "warn"), (600, "bad")):
        late = type("Client", (), {"time": lambda self, apart=apart: (int(time.time()) - apart, 0), "ping": lambda self: True})
        monkeypatch.setattr(broker, "client", late)
        assert level_of(clock, "broker") == level


def test_a_hub_that_never_answers_is_a_warning_in_words(settings, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.HF_ENDPOINT = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable):
            reach(seconds=0.5)
        monkeypatch.setattr(hub, "SECONDS", 0.5)
        assert set(said(hub).values()) == {"warn"}


def test_a_hub_that_answers(settings, httpserver_ok: str):
    settings.HF_ENDPOINT = httpserver_ok
    reach(seconds=5)


@pytest.fixture
def httpserver_ok() -> Iterator[str]:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_devices_are_listed():
    assert any(text.startswith("cpu:") for text in said(devices))
