"""A scratch installation in this process: its own DATA_DIR, its own Valkey, SQLite or a PostgreSQL of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.common.report import ROOT
from tests import servers


@contextmanager
def installation(database: str) -> Iterator[Path]:
    """Django on an empty migrated database; `database` is sqlite or postgresql. Only once in a process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aift-load-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        os.environ |= {"DATA_DIR": str(folder / "data"), "DJANGO_SETTINGS_MODULE": "finetune.settings"}
        os.environ |= {
            "THROTTLE_DEFAULT": "",
            "THROTTLE_LOGIN": "",
            "THROTTLE_REGISTER": "",
            "LOG_LEVEL": "WARNING",
            "STATIC_ROOT": str(folder / "static"),
        }
        if database == "postgresql":
            os.environ["DATABASE_URL"] = servers.database_url(stack.enter_context(servers.running(servers.postgres(folder / "pg"))))
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connection

        from tests.valkey import valkey_server

        stack.enter_context(valkey_server(settings.VALKEY_SOCKET))
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        try:
            yield folder
        finally:
            connection.close()
            if database == "postgresql":
                connection.close_pool()  # type: ignore[attr-defined]


class Web:
    """A web process that runs."""

    def __init__(self, url: str, pid: int):
        self.url, self._process = url, psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """Processor time so far, of the system and its own."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        return round(self._process.memory_info().rss / 2**20, 1)

    def handles(self) -> int:
        return int(self._process.num_fds())


@contextmanager
def web_process() -> Iterator[Web]:
    """One web process on this installation, as the launcher starts it; it answers when the block begins."""
    port = servers.free_port()
    options = ["--port", str(port), "--ws", "websockets-sansio", "--no-access-log", "--log-level", "warning", "--no-proxy-headers"]
    options += ["--timeout-keep-alive", "75"]
    command = [sys.executable, "-m", "uvicorn", "finetune.asgi:application", "--host", "127.0.0.1", *options]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _answers(f"{url}/healthz"):
            assert time.monotonic() < deadline and process.poll() is None, "the web process does not answer"
            time.sleep(0.2)
        yield Web(url, process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def general_worker() -> Iterator[psutil.Process]:
    """The worker that reads uploads, as the launcher starts it."""
    options = ["-Q", "default,celery", "--pool", "prefork", "--concurrency", "2", "-n", "general@%h", "--loglevel", "WARNING"]
    process = subprocess.Popen([sys.executable, "-m", "celery", "--quiet", "-A", "celery_worker", "worker", *options], cwd=ROOT)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, verify=False).status_code == 200
    except httpx.HTTPError:
        return False


def signed_in(person: Any) -> str:
    """The session cookie of a browser of theirs."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(person)
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


def spread(milliseconds: list[float]) -> dict[str, Any]:
    """How many requests, and how long they took."""
    times = sorted(milliseconds)
    if not times:
        return {"count": 0}
    marks = {f"p{mark}_ms": round(times[min(len(times) - 1, int(len(times) * mark / 100))], 1) for mark in (50, 95, 99)}
    return {"count": len(times), **marks, "worst_ms": round(times[-1], 1)}


def metric(step: int, noise: Any) -> dict[str, Any]:
    """What the engine says after a step: eight numbers, of which six are noisy."""
    values = {
        "loss": 2.0 + noise.random(), "grad_norm": 1.0 + noise.random(), "learning_rate": 1e-4 * (1 - step / 2e6),
        "mean_token_accuracy": noise.random(), "entropy": noise.random(), "num_tokens": float(step * 512 + noise.randrange(99)),
        "tokens_per_second": round(900 + 50 * noise.random(), 1), "samples_per_second": round(9 + noise.random(), 2),
    }  # fmt: skip
    return {"step": step, "epoch": step / 31_250, "split": "train", "values": values, "elapsed_seconds": round(step * 0.05, 3)}
