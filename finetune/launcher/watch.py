"""supervisord as a child: started, watched, stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from types import FrameType

from finetune.launcher import instance
from finetune.launcher.facts import Facts

# A web process that takes longer than this has a problem somebody should look at.
SLOW_START_SECONDS = 20


class _Stop:
    """Set by Ctrl-C, SIGTERM or a closed terminal."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def until_stopped(facts: Facts) -> int:
    """Run supervisord until somebody asks to stop (0) or it ends by itself (1). The caller ends what is left."""
    stop = _Stop()
    supervisor = _start(facts)
    address = _Announcement(facts)
    while not stop.asked:
        if supervisor.poll() is not None:
            print(
                f"The process manager ended (code {supervisor.returncode}); see {facts.log_dir}/supervisord.log.", file=sys.stderr
            )
            return 1
        instance.remember(facts, supervisor.pid)
        address.tell()
        time.sleep(1 if address.told else 0.1)
    print("\nStopping …", flush=True)
    supervisor.terminate()
    supervisor.wait()
    return 0


def _start(facts: Facts) -> subprocess.Popen:
    # A session of its own: Ctrl-C in the terminal reaches the launcher only, which stops things in order.
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(facts.supervisor_file)]
    return subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)


class _Announcement:
    """Prints the address once the web process answers; a hint where to look when it takes long."""

    def __init__(self, facts: Facts):
        self._facts = facts
        self._hint_at = time.monotonic() + SLOW_START_SECONDS
        self.told = False

    def tell(self) -> None:
        if self.told:
            return
        try:
            with urllib.request.urlopen(f"{self._facts.local_url}/healthz", timeout=2):  # noqa: S310 (our own address)
                pass
        except OSError:
            self._hint()
        else:
            print(f"AiFineTune is at {self._facts.local_url}", flush=True)
            self.told = True

    def _hint(self) -> None:
        if time.monotonic() > self._hint_at:
            print(f"The web process does not answer yet; it may say why in {self._facts.log_dir}/web.log.", file=sys.stderr)
            self._hint_at = float("inf")
