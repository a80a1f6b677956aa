"""Start everything, say where, wait for Ctrl-C, stop everything.

Django runs only in the short preparing process (prepare.py); the launcher itself stays a few megabytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from finetune.launcher import engines, instance, private, programs, watch
from finetune.launcher.facts import Facts

PYTHON = sys.executable


class Refused(Exception):
    """Why nothing was started, in one line."""


def main() -> int:
    """The exit code: 0 after Ctrl-C or SIGTERM, 1 when it could not start or broke."""
    try:
        facts = _prepare()
        with instance.lock(facts):
            return _run(facts)
    except (Refused, instance.AlreadyRunning) as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _prepare() -> Facts:
    """Settings as this installation sees them; refuses when they make no sense."""
    private.write_privately()
    answer = subprocess.run([PYTHON, "-m", "finetune.launcher.prepare", "facts"], stdout=subprocess.PIPE, text=True)
    if answer.returncode:
        raise Refused("Nothing was started.")
    facts = Facts(**json.loads(answer.stdout))
    private.close(Path(facts.data_dir))
    for folder in (facts.run_dir, facts.log_dir, Path(facts.data_dir) / "valkey"):
        folder.mkdir(parents=True, exist_ok=True)
    return facts


def _run(facts: Facts) -> int:
    instance.stop_leftovers(facts)
    if not instance.port_is_free(facts.host, facts.port):
        raise Refused(f"Port {facts.port} is in use. Choose another: make run PORT={facts.port + 1}")
    if subprocess.run([PYTHON, "-m", "finetune.launcher.prepare", "database", "static"]).returncode:
        raise Refused("Nothing was started: the database could not be brought up to date (see above).")
    print(f"Starting. Logs are in {facts.log_dir}; Ctrl-C stops everything.", flush=True)
    programs.write_configuration(facts)
    try:
        return watch.until_stopped(facts)
    finally:
        instance.stop_leftovers(facts)
        engines.stop_all(Path(facts.data_dir))


if __name__ == "__main__":
    sys.exit(main())
