"""A person leaves with everything of theirs."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry, User
from accounts.services.create_api_key import create_api_key
from datasets_app.models import Dataset
from finetune.core import storage
from finetune.core.errors import Conflict, Invalid
from finetune.operations.services.delete_account import delete_account, remove_accounts
from models_app.models import LanguageModel
from tests.conftest import PASSWORD
from tests.factories import make_base_model, make_dataset, make_job, make_template, make_version
from training.models import TrainingJob


def things_of(user: User, status: str = "succeeded") -> TrainingJob:
    base = make_base_model(user)
    made = make_version(user, base=base)
    make_template(user)
    return make_job(user, model=base, dataset=make_dataset(user), status=status, attempt=1, output_model=made)


def test_everything_goes_and_others_keep_theirs(page, alice, charlie, api, django_capture_on_commit_callbacks):
    job, kept = things_of(alice), things_of(charlie)
    folder = storage.dataset_dir(job.dataset_id)
    _, key = create_api_key(user=alice, name="script", scopes=["read"])
    assert folder.exists()

    with django_capture_on_commit_callbacks(execute=False):
        assert page.post("/settings/delete-account", {"password": PASSWORD}).url == "/sign-in"

    assert page.get("/").status_code == 302  # signed out, and nobody gets in again
    assert page.post("/sign-in", {"username": "alice", "password": PASSWORD}).status_code == 422
    assert page.get("/api/auth/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401

    with django_capture_on_commit_callbacks(execute=True):
        remove_accounts()

    assert not User.objects.filter(username="alice").exists() and not folder.exists()
    assert list(TrainingJob.objects.all()) == [kept]
    assert Dataset.objects.get().owner == LanguageModel.objects.filter(kind="base").get().owner == charlie
    assert storage.dataset_dir(kept.dataset_id).exists()
    assert AuditEntry.objects.filter(action="delete user", target__startswith="alice").exists()


def test_a_running_job_is_cancelled_first(alice, django_capture_on_commit_callbacks):
    running = things_of(alice, status="running")
    delete_account(user=alice, password=PASSWORD)
    remove_accounts()
    running.refresh_from_db()
    assert running.status == "cancelling" and User.objects.filter(username="alice").exists()
    TrainingJob.objects.update(status="cancelled")  # its engine has stopped
    with django_capture_on_commit_callbacks(execute=True):
        remove_accounts()
    assert not User.objects.exists() and not TrainingJob.objects.exists()


def test_it_refuses_a_wrong_password_and_the_only_operator(page, alice, olivia):
    assert page.post("/settings/delete-account", {"password": "wrong-password"}).status_code == 422
    with pytest.raises(Invalid):
        delete_account(user=alice, password="wrong-password")
    with pytest.raises(Conflict):
        delete_account(user=olivia, password=PASSWORD)
    remove_accounts()
    assert User.objects.filter(is_active=True).count() == 2
