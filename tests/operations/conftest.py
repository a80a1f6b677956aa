"""Jobs by the dozen: each on a base of its own, since a family's versions are numbered."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.conf import settings

from accounts.models import User
from finetune.core import storage
from tests.bucket import bucket_environment, objects, on  # noqa: F401
from tests.factories import make_base_model, make_job
from training.models import TrainingJob


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    """Ids begin again with every test's rollback; files of an earlier row of the same number must not be counted."""
    for name in ("datasets", "models", "runs", "blobs"):
        storage.remove_tree(settings.DATA_DIR / name)


@pytest.fixture
def new_job() -> Callable[..., TrainingJob]:
    def make(owner: User, **values: object) -> TrainingJob:
        values.setdefault("model", make_base_model(owner, family=uuid4().hex))
        return make_job(owner, **values)

    return make
