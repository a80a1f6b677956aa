"""Deleting: row and files go, unless a job points to them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from datasets_app.services.delete_dataset import delete_dataset
from finetune.core.errors import Conflict
from tests.factories import make_dataset, make_job


def test_row_and_files_go(alice: User, api: APIClient, django_capture_on_commit_callbacks: Any) -> None:
    dataset = make_dataset(alice)
    with django_capture_on_commit_callbacks(execute=True):
        assert api.delete(f"/api/datasets/{dataset.pk}").status_code == 204
    assert not Dataset.objects.exists()
    assert not dataset.directory.exists()


@pytest.mark.parametrize("status", ["draft", "queued", "running", "cancelling", "cancelled", "succeeded", "failed"])
def test_it_refuses_while_any_job_points_to_it_and_names_it(
    alice: User, status: str, django_capture_on_commit_callbacks: Any
) -> None:
    job = make_job(alice, status=status, name="evening run")
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(Conflict, match="evening run"):
        delete_dataset(dataset=job.dataset)
    assert Dataset.objects.filter(pk=job.dataset.pk).exists()
    assert job.dataset.rows_file.exists()


def test_strangers_find_nothing(alice: User, charlie_api: APIClient, charlie_page: Client) -> None:
    dataset = make_dataset(alice)
    assert charlie_api.delete(f"/api/datasets/{dataset.pk}").status_code == 404
    assert charlie_page.post(f"/datasets/{dataset.pk}/delete").status_code == 404
    assert Dataset.objects.filter(pk=dataset.pk).exists()


def test_the_page_deletes_and_returns_to_the_list(alice: User, page: Client) -> None:
    dataset = make_dataset(alice)
    assert page.get(f"/datasets/{dataset.pk}/delete").status_code == 405
    answer = page.post(f"/datasets/{dataset.pk}/delete", follow=True)
    assert "was deleted" in answer.content.decode()
    assert not Dataset.objects.exists()


def test_the_admin_deletes_through_the_verb(alice: User, olivia: User, client: Client) -> None:
    client.force_login(olivia)
    job = make_job(alice, status="succeeded")
    client.post("/admin/datasets_app/dataset/", {"action": "delete_selected", "_selected_action": job.dataset.pk, "post": "yes"})
    assert Dataset.objects.filter(pk=job.dataset.pk).exists()
    assert client.get("/admin/datasets_app/dataset/?status=ready").status_code == 200
    assert client.get(f"/admin/datasets_app/dataset/{job.dataset.pk}/change/").status_code == 200
