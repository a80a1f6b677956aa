"""Training runs outlive workers on purpose; when the whole installation stops, they are asked to save and end."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from training.engine import process
from training.engine.rundir import started_in

# A checkpoint of a large model takes a while to write.
PATIENCE_SECONDS = 120


def stop_all(data_dir: Path) -> None:
    """SIGTERM to every engine of this DATA_DIR: each writes a checkpoint, and its job goes on at the next start.

    Waits for them; a second Ctrl-C, or PATIENCE_SECONDS, ends them at once (the last checkpoint then counts).
    """
    running = [who for run in started_in(data_dir) if (who := run.engine()) and process.is_alive(who)]
    if not running:
        return
    print(f"Waiting for {len(running)} training run(s) to write a checkpoint. Ctrl-C again to cut this short.", flush=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for identity in running:
        process.terminate(identity)
    try:
        _wait(running)
    except KeyboardInterrupt:
        print("Not waiting.", flush=True)
    for identity in running:
        process.terminate(identity, force=True)


def _wait(running: list[dict[str, Any]]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and any(process.is_alive(identity) for identity in running):
        time.sleep(0.2)
