"""An archive whose worker or message was lost does not stay “being made” for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import DataArchive, User
from finetune.operations.services.export_data import LOST, make_archive
from finetune.operations.services.reconcile_archives import reconcile_archives


def archive(owner: User, status: str, silent: timedelta) -> DataArchive:
    return DataArchive.objects.create(owner=owner, status=status, touched_at=timezone.now() - silent)


def test_one_whose_worker_died_is_said_to_have_failed_and_can_be_asked_for_again(alice: User, page: Any) -> None:
    lost = archive(alice, "making", LOST * 2)
    assert "Export my data" not in page.get("/settings/data").content.decode()
    assert reconcile_archives() == 1
    lost.refresh_from_db()
    assert (lost.status, reconcile_archives()) == ("failed", 0)
    shown = page.get("/settings/data").content.decode()
    assert lost.error in shown and "Export my data" in shown


def test_one_that_the_queue_forgot_is_queued_once_more(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(make_archive, "delay_on_commit", sent.append)
    waiting = archive(alice, "waiting", LOST * 2)
    assert (reconcile_archives(), reconcile_archives(), sent) == (1, 0, [waiting.pk])
    waiting.refresh_from_db()
    assert waiting.status == "waiting"


def test_what_somebody_is_at_and_what_has_ended_is_left_alone(alice: User, charlie: User) -> None:
    for owner, status, silent in ((alice, "making", LOST / 2), (alice, "ready", LOST * 9), (charlie, "waiting", LOST / 2)):
        archive(owner, status, silent)
    assert reconcile_archives() == 0
    assert sorted(DataArchive.objects.values_list("status", flat=True)) == ["making", "ready", "waiting"]
