"""Every stored secret under the newest key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Credential, User
from finetune.core import crypto
from finetune.operations.services.rotate_keys import FIELD, rotate_keys

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def stored(alice: User, charlie: User, settings) -> list[Credential]:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    values = {"kind": "hf", "last4": "1234", "checked_at": timezone.now()}
    return [Credential.objects.create(owner=user, ciphertext=crypto.encrypt(f"hf_{user}"), **values) for user in (alice, charlie)]


def test_afterwards_the_old_key_is_not_needed(stored, settings):
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]

    assert rotate_keys().rotated == 2

    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert [crypto.decrypt(row.ciphertext) for row in Credential.objects.order_by("pk")] == ["hf_alice", "hf_charlie"]


def test_cut_off_and_run_again_it_only_does_the_rest(stored, settings):
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    Credential.objects.filter(pk=stored[0].pk).update(ciphertext=crypto.rotate(stored[0].ciphertext))

    done = rotate_keys()

    assert (done.rotated, done.current) == (1, 1)
    assert rotate_keys().rotated == 0


def test_a_secret_saved_meanwhile_wins(stored, settings, monkeypatch):
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    fresh = crypto.encrypt("hf_fresh")

    def slow(ciphertext: str) -> str:
        Credential.objects.filter(ciphertext=ciphertext).update(ciphertext=fresh)
        return "stale"

    monkeypatch.setattr(crypto, "rotate", slow)
    assert rotate_keys().rotated == 0
    assert {row.ciphertext for row in Credential.objects.all()} == {fresh}


def test_what_no_key_opens_is_named_and_left_alone(stored, settings):
    settings.FIELD_ENCRYPTION_KEYS = [NEW]

    with pytest.raises(CommandError, match=r"must enter them again.*credential"):
        call_command("rotate_keys")
    assert {row.ciphertext for row in Credential.objects.all()} == {row.ciphertext for row in stored}


def test_it_finds_every_field_that_is_encrypted():
    """Whoever encrypts writes into a field of the name that rotate_keys looks for, or into the cache, which forgets it in seconds."""
    sources = [path for path in Path(django_settings.BASE_DIR).glob("[a-z]*/**/*.py") if "tests" not in path.parts]
    uses = [line for path in sources for line in path.read_text().splitlines() if "crypto.encrypt(" in line]
    assert uses
    assert all(re.search(rf"(\b{FIELD}\b\W+|\bcache\.set\(\w+, )crypto\.encrypt\(", line) for line in uses), uses
