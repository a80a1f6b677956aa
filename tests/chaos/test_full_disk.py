"""The disk fills up while a job trains, or is full before it begins: the job ends in words, nothing half-written is left, and with
room again it goes on from its last checkpoint to the very result of an undisturbed run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.installation import Installation
from tests.chaos.small_disk import small_disk
from tests.chaos.undisturbed import ALL, check, reference

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def failed_for_want_of_room(here: Installation, pk: int) -> None:
    job = here.ended(pk)
    assert (job["status"], job["error"]["code"]) == ("failed", "disk_full"), job
    assert job["error"]["message"].startswith("The disk is full")
    assert "resume" in job["error"]["hint"]
    left = [path.name for path in here.run(pk).path.rglob(".*")]
    assert left == []


def test_a_disk_that_fills_up_and_is_full_at_the_next_start(embedded: Installation, undisturbed: dict[str, Any]) -> None:
    expected = reference(embedded, undisturbed)
    pk = embedded.start_job(start=False)
    with small_disk(embedded.data_dir / "runs" / str(pk), 64) as disk:
        embedded.ask("POST", f"/api/training/{pk}/start")
        embedded.at("training", pk)
        disk.fill()
        failed_for_want_of_room(embedded, pk)
        embedded.ask("POST", f"/api/training/{pk}/resume")
        failed_for_want_of_room(embedded, pk)
        disk.free()
        embedded.ask("POST", f"/api/training/{pk}/resume")
        check(embedded, pk, expected)


@pytest.mark.skipif(not ALL or os.geteuid() == 0, reason="only with CHAOS=all, for somebody who isn't root")
def test_the_same_without_being_root(tmp_path: Path) -> None:
    """In a namespace in which we are."""
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*inside, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True, check=False).returncode:
        pytest.skip("This system gives nobody a namespace of their own.")
    again = [sys.executable, "-m", "pytest", __file__, "-k", "fills_up"]
    done = subprocess.run([*inside, *again], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout  # and not skipped
