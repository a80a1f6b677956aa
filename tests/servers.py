"""The suite on PostgreSQL and Redis, as in production: python -m tests.servers [pytest arguments].

Starts both on ports of their own in a scratch directory, as an unprivileged user when root runs it (PostgreSQL refuses
root), runs pytest with DATABASE_URL and REDIS_URL, stops them again and returns pytest's exit code.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
NOBODY = "nobody"


def main(arguments: list[str]) -> int:
    """pytest's exit code; 1 with a word when a server is not installed."""
    if not _program("postgres") or not shutil.which("redis-server"):
        print("PostgreSQL and Redis are needed (Debian: apt-get install postgresql redis-server).", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aift-servers-", ignore_cleanup_errors=True)))
        scratch.chmod(0o755)
        environment = {
            "DATABASE_URL": stack.enter_context(postgres_server(scratch / "postgres")),
            "REDIS_URL": stack.enter_context(redis_server(scratch / "redis")),
        }
        # The cluster is thrown away, so nobody need drop the database while a thread still holds a connection to it.
        command = [sys.executable, "-m", "pytest", "--reuse-db", *arguments]
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """A fresh cluster on a free port of the loopback interface; its URL."""
    port, user = _free_port(), _own(folder)
    made = [_program("initdb"), "--pgdata", folder, "--auth", "trust", "--username", "aift", "--encoding", "UTF8", "--no-sync"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
    # Nothing of a test has to survive a power cut.
    quick = [part for option in ("fsync=off", "synchronous_commit=off", "full_page_writes=off") for part in ("-c", option)]
    command = [_program("postgres"), "-D", folder, "-p", str(port), "-k", folder, "-h", "127.0.0.1", *quick]
    with _running(command, folder, port, user):
        yield f"postgresql://aift@127.0.0.1:{port}/postgres"


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis that keeps nothing, on a free port of the loopback interface; its URL."""
    port, user = _free_port(), _own(folder)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with _running(command, folder, port, user):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _running(command: list[Any], folder: Path, port: int, user: dict[str, Any]) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, **user)
    try:
        _wait(process, port, log)
        yield
    finally:
        process.send_signal(2)  # both shut down quickly and cleanly on SIGINT
        process.wait(timeout=30)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} did not start:\n{log.read_text()}")


def _own(folder: Path) -> dict[str, Any]:
    """Make the folder, and the arguments for a process that owns it: somebody without rights when we are root."""
    folder.mkdir(mode=0o700)
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam(NOBODY)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _program(name: str) -> str | None:
    """A PostgreSQL program: on PATH, or where Debian keeps its versions."""
    found = [str(path / name) for path in PROGRAMS if (path / name).exists()]
    return shutil.which(name) or (found[-1] if found else None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
