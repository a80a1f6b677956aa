"""Bytes on disk by person."""

from __future__ import annotations

import io
import os

from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from finetune.core import storage
from finetune.operations.services.measure_storage import measure_storage
from tests.factories import make_dataset, make_job, make_version


def test_a_file_with_two_names_counts_once_for_a_person(alice, charlie):
    dataset = make_dataset(alice)
    size = dataset.rows_file.stat().st_size
    job = make_job(alice, dataset=dataset, attempt=1)
    run = storage.attempt_dir(job.pk, 1)
    run.mkdir(parents=True, exist_ok=True)
    os.link(dataset.rows_file, run / "train.parquet")
    (run / "engine.log").write_bytes(b"l" * 100)
    model = make_version(alice, base=job.model)
    storage.model_dir(model.pk).mkdir(parents=True, exist_ok=True)
    (storage.model_dir(model.pk) / "weights").write_bytes(b"w" * 1000)

    assert measure_storage()[alice.pk] == {"datasets": size, "models": 1000, "runs": 100, "exports": 0, "total": size + 1100}
    assert measure_storage(user=charlie) == {charlie.pk: {"datasets": 0, "models": 0, "runs": 0, "exports": 0, "total": 0}}


def test_the_command_lists_people(alice):
    make_dataset(alice)
    out = io.StringIO()
    call_command("storage", stdout=out)
    assert "alice" in out.getvalue() and "all together" in out.getvalue()


def test_the_settings_page_and_the_admin_show_it(alice, page, olivia):
    cache.clear()
    model = make_version(alice)
    storage.model_dir(model.pk).mkdir(parents=True, exist_ok=True)
    (storage.model_dir(model.pk) / "weights").write_bytes(b"w" * 5_000_000)
    operator = Client()
    operator.force_login(olivia)

    assert b"5.0 MB" in page.get("/settings").content
    assert b"5.0 MB" in operator.get("/admin/accounts/user/").content
    assert b"models 5.0 MB" in operator.get(f"/admin/accounts/user/{alice.pk}/change/").content
    cache.clear()
