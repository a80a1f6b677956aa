"""What one person may use."""

from __future__ import annotations

import pytest

from accounts.limits import Limits, limits_of, refuse_when_full
from accounts.models import User, UserLimits
from finetune.core.errors import Conflict
from finetune.operations.services.measure_storage import measure_storage
from tests.factories import make_dataset


def test_a_persons_own_numbers_come_before_everybodys(alice: User, charlie: User, settings) -> None:
    settings.MAX_RUNNING_JOBS_PER_USER, settings.MAX_STORAGE_BYTES_PER_USER = 2, 1000
    UserLimits.objects.create(user=alice, running_jobs=0, queued_jobs=5)
    assert limits_of(alice) == Limits(0, 5, 1000)
    assert limits_of(charlie) == Limits(2, 0, 1000)


def test_a_full_persons_next_file_is_refused_until_something_is_deleted(alice: User, settings) -> None:
    refuse_when_full(alice, incoming=10**15)  # no limit
    make_dataset(alice)
    used = measure_storage(user=alice)[alice.pk]["total"]
    settings.MAX_STORAGE_BYTES_PER_USER = used + 10
    refuse_when_full(alice, incoming=10)
    with pytest.raises(Conflict, match="Delete datasets, models or jobs") as refusal:
        refuse_when_full(alice, incoming=11)
    assert refusal.value.code == "storage_limit"
    settings.MAX_STORAGE_BYTES_PER_USER = used
    with pytest.raises(Conflict):
        refuse_when_full(alice)
