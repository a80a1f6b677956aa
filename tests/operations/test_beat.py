"""Beat started by hand, as docs/operations.md says: it runs, and leaves the trace that the doctor looks for."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.core.cache import cache

from celery_worker.lifecycle import BEAT_SEEN, _beat_lives
from tests.operations.installation import Installation


@pytest.mark.stack
def test_it_starts_in_a_fresh_data_dir(tmp_path):
    command = [sys.executable, "-m", "celery", "-A", "celery_worker", "beat", "--pidfile=", "--max-interval", "1"]
    environment = Installation(tmp_path, more={"REDIS_URL": settings.REDIS_URL}).environment
    with subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, stderr=subprocess.PIPE, text=True) as beat:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "run").glob("beat-schedule*")) and beat.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        assert beat.poll() is None, beat.stderr.read()
        assert list((tmp_path / "run").glob("beat-schedule*"))
        beat.terminate()


def test_each_task_it_sends_is_a_sign_of_life():
    cache.delete(BEAT_SEEN)
    _beat_lives()
    assert time.time() - cache.get(BEAT_SEEN) < 10
    cache.delete(BEAT_SEEN)
