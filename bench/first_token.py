"""From sending a prompt over the socket to its first token, the model being warm. Prints one JSON object.

The whole road: web process, queue, inference worker, stream, web process, socket; a tiny model, so what is measured is the road.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import websockets

from bench.common.fixtures import ROOT, make_model
from bench.start_up import wait_for

RUNS = 30
AIM_SECONDS = 0.150
SEED = """
from accounts.models import User
from models_app.models import LanguageModel
from rest_framework_simplejwt.tokens import RefreshToken
user = User.objects.create_user("bench", "bench@example.org", "a-long-enough-passphrase")
model = LanguageModel.objects.create(owner=user, name="tiny", family="tiny", kind="base", source="sample", status="ready", path="{path}")
print(model.pk, RefreshToken.for_user(user).access_token)
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aifinetune-bench-", ignore_cleanup_errors=True) as scratch:
        found = measure(Path(scratch))
    print(json.dumps({"bench": "first_token", "machine": platform.processor() or platform.machine(), **found}, indent=2))


def measure(folder: Path) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "DATA_DIR": str(folder / "data"), "PORT": str(port), "HOST": "127.0.0.1"}
    launcher = subprocess.Popen(
        [sys.executable, "-m", "finetune.launcher"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        seed = SEED.format(path=make_model("tiny", folder / "tiny"))
        command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", seed]
        made = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.split()
        return asyncio.run(ask(f"ws://127.0.0.1:{port}/ws/ask?token={made[-1]}", f"model-{made[-2]}"))
    finally:
        launcher.send_signal(signal.SIGINT)
        launcher.wait(120)


async def ask(address: str, source: str) -> dict[str, Any]:
    async with websockets.connect(address) as line:
        cold = await once(line, source)
        runs = [await once(line, source) for _ in range(RUNS)]
    firsts = sorted(run["first"] for run in runs)
    return {
        "processors": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "runs": RUNS,
        "cold_seconds": round(cold["first"], 3),
        "first_token_seconds": {"median": round(statistics.median(firsts), 4), "p95": round(firsts[int(0.95 * RUNS)], 4)},
        "in_the_worker_seconds": round(statistics.median(run["worker"] for run in runs), 4),
        "tokens_per_second": round(statistics.median(run["speed"] for run in runs), 1),
        "aim_seconds": AIM_SECONDS,
        "aim_met": statistics.median(firsts) <= AIM_SECONDS,
    }


async def once(line: Any, source: str) -> dict[str, float]:
    """Seconds to the first token as the client sees it and as the worker says, and the worker's tokens a second."""
    started, first = time.perf_counter(), 0.0
    await line.send(json.dumps({"source": source, "prompt": "Say hello", "max_new_tokens": 32, "temperature": 0}))
    while True:
        message = json.loads(await line.recv())
        if message["type"] == "token" and not first:
            first = time.perf_counter() - started
        if message["type"] == "error":
            raise SystemExit(message["message"])
        if message["type"] == "done":
            done = message
        if message["type"] == "end":
            return {"first": first, "worker": done["first_token_seconds"], "speed": done["tokens_per_second"]}


if __name__ == "__main__":
    main()
