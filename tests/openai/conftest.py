"""Alice with the official client's shapes, without a server."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services.issue_tokens import issue_tokens
from datasets_app.models import Dataset
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_dataset


@pytest.fixture
def base(alice: User) -> LanguageModel:
    return make_base_model(alice, name="tiny", repo_id="lab/tiny-1")


@pytest.fixture
def dataset(alice: User) -> Dataset:
    return make_dataset(alice, name="legs")


@pytest.fixture
def bearer(alice: User) -> APIClient:
    """Alice as a script: a bearer token, nothing else."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_tokens(user=alice)['access']}")
    return client
