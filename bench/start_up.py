"""How long the platform takes to answer, and how much memory it needs at rest. Prints one JSON object.

seconds_to_healthz   from starting the launcher to the first answer (migrated database, nothing to install)
web_bytes            resident memory of the web process after a few pages
total_bytes          of all processes together (shared pages counted once: PSS where the system knows it)
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aifinetune-bench-", ignore_cleanup_errors=True) as scratch:
        runs = [once(scratch) for _ in range(RUNS + 1)][1:]  # the first makes the database
    best = min(runs, key=lambda run: run["seconds_to_healthz"])
    print(json.dumps({"bench": "start_up", "processors": os.cpu_count(), "runs": RUNS, **best}, indent=2))


def once(data_dir: str) -> dict[str, float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "DATA_DIR": data_dir, "PORT": str(port), "HOST": "127.0.0.1"}
    start = time.monotonic()
    launcher = subprocess.Popen(
        [sys.executable, "-m", "finetune.launcher"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        seconds = time.monotonic() - start
        wait_for(f"http://127.0.0.1:{port}/readyz")
        for path in ("/register", "/api/schema", "/healthz"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).close()
        return {"seconds_to_healthz": round(seconds, 2), **memory(psutil.Process(launcher.pid))}
    finally:
        launcher.send_signal(signal.SIGINT)
        launcher.wait(120)


def wait_for(url: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{url} did not answer in {seconds:.0f} s")


def memory(launcher: psutil.Process) -> dict[str, float]:
    processes = [launcher, *launcher.children(recursive=True)]
    web = next(process for process in processes if "finetune.asgi:application" in process.cmdline())
    return {"web_bytes": web.memory_info().rss, "total_bytes": sum(own_bytes(process) for process in processes)}


def own_bytes(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return getattr(full, "pss", full.rss)


if __name__ == "__main__":
    main()
