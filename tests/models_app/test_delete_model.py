"""Deleting a model that nothing needs, and refusing for each thing that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import storage
from finetune.core.errors import Conflict
from models_app.models import LanguageModel
from models_app.services.delete_model import delete_model
from tests.factories import make_base_model, make_job, make_version


def with_files(model: LanguageModel) -> Path:
    directory = storage.model_dir(model.pk)
    directory.mkdir(parents=True)
    (directory / "model.safetensors").write_text("x")
    return directory


def test_row_and_files_go(alice: User, django_capture_on_commit_callbacks: Any) -> None:
    model = make_base_model(alice)
    directory = with_files(model)
    with django_capture_on_commit_callbacks(execute=True):
        delete_model(model=model)
    assert not LanguageModel.objects.exists()
    assert not directory.exists()


def test_files_of_the_hub_cache_stay(alice: User, tmp_path: Path, django_capture_on_commit_callbacks: Any) -> None:
    (tmp_path / "model.safetensors").write_text("x")
    model = make_base_model(alice, path=str(tmp_path), source="hub")
    with django_capture_on_commit_callbacks(execute=True):
        delete_model(model=model)
    assert (tmp_path / "model.safetensors").exists()


def test_the_next_best_version_becomes_the_latest(alice: User) -> None:
    base = make_base_model(alice)
    first, second = (make_version(alice, base=base, version=number, is_latest=number == 2) for number in (1, 2))
    delete_model(model=second)
    first.refresh_from_db()
    assert first.is_latest


def test_deleting_an_old_version_leaves_the_latest(alice: User) -> None:
    base = make_base_model(alice)
    first, second, third = (make_version(alice, base=base, version=number, is_latest=number == 2) for number in (1, 2, 3))
    delete_model(model=first)
    assert list(LanguageModel.objects.filter(is_latest=True, kind="fine_tuned")) == [second]
    assert LanguageModel.objects.filter(pk=third.pk).exists()


@pytest.mark.parametrize("status", ["draft", "queued", "running", "cancelling", "succeeded", "failed", "cancelled"])
def test_it_refuses_while_a_job_needs_it(
    alice: User, api: APIClient, page: Client, status: str, django_capture_on_commit_callbacks: Any
) -> None:
    model = make_base_model(alice)
    directory = with_files(model)
    make_job(alice, model=model, status=status)
    with django_capture_on_commit_callbacks(execute=True):
        response = api.delete(f"/api/models/{model.pk}")
        shown = page.post(f"/models/{model.pk}/delete", headers={"Referer": f"http://testserver/models/{model.pk}"}, follow=True)
    assert response.status_code == 409
    assert response.json()["code"] == "model_in_use"
    assert "job" in response.json()["detail"]
    assert "job" in shown.content.decode()
    assert LanguageModel.objects.filter(pk=model.pk).exists()
    assert directory.exists()


def test_it_refuses_while_versions_are_built_on_it(alice: User) -> None:
    version = make_version(alice)
    with pytest.raises(Conflict, match="tuned v1"):
        delete_model(model=version.base_model)
    assert LanguageModel.objects.count() == 2


def test_it_refuses_a_model_that_is_being_made(alice: User) -> None:
    model = make_base_model(alice, status="downloading")
    with pytest.raises(Conflict, match="still being made"):
        delete_model(model=model)
    assert LanguageModel.objects.exists()


def test_both_surfaces_delete(alice: User, api: APIClient, page: Client) -> None:
    first, second = make_base_model(alice), make_base_model(alice, family="other")
    assert api.delete(f"/api/models/{first.pk}").status_code == 204
    assert page.post(f"/models/{second.pk}/delete").headers["Location"] == "/models/"
    assert not LanguageModel.objects.exists()


def test_strangers_find_nothing_to_delete(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    model = make_base_model(alice)
    assert charlie_api.delete(f"/api/models/{model.pk}").status_code == 404
    assert charlie_page.post(f"/models/{model.pk}/delete").status_code == 404
    assert LanguageModel.objects.exists()
