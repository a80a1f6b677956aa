"""The fork server's child, where even its log can't be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

FORK = """
import os, sys
from pathlib import Path
from training.engine import forkserver
server = os.getpid()
try:
    pid = forkserver._fork(Path(sys.argv[1]), {}, ())
finally:
    if os.getpid() != server:
        os.kill(server, 9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_run_that_can_not_even_write_its_log_never_becomes_a_second_server(tmp_path: Path) -> None:
    (tmp_path / "engine.log").symlink_to("/dev/full")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", FORK, str(tmp_path)], env=buffered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
