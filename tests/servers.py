"""The suite on PostgreSQL and Redis, as in production: python -m tests.servers [pytest arguments].

Starts both on ports of their own in a scratch directory, as an unprivileged user when root runs it (PostgreSQL refuses
root), runs pytest with DATABASE_URL and REDIS_URL, stops them again and returns pytest's exit code.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
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
    if not available():
        print("PostgreSQL and Redis are needed (Debian: apt-get install postgresql redis-server).", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aift-servers-", ignore_cleanup_errors=True)))
        scratch.chmod(0o755)
        environment = {
            "DATABASE_URL": database_url(stack.enter_context(running(postgres(scratch / "postgres")))),
            "REDIS_URL": f"redis://127.0.0.1:{stack.enter_context(running(redis(scratch / 'redis'))).port}/0",
        }
        # The cluster is thrown away, so nobody need drop the database while a thread still holds a connection to it.
        command = [sys.executable, "-m", "pytest", "--reuse-db", *arguments]
        return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def available() -> bool:
    """Whether both are installed."""
    return bool(_program("postgres") and shutil.which("redis-server"))


class Server:
    """One server process on a port of its own; it can be killed and started again on its data."""

    def __init__(self, command: list[Any], folder: Path, port: int, user: dict[str, Any]):
        self.command, self.folder, self.port, self.user = command, folder, port, user

    def start(self) -> None:
        """Start, and wait until the port answers. A server that finds traces of its killed self is asked again."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with (self.folder / "server.log").open("ab") as output:
                self.process = subprocess.Popen(self.command, stdout=output, stderr=output, cwd=self.folder, **self.user)
            while self.process.poll() is None:
                if _answers(self.port):
                    return
                time.sleep(0.05)
            time.sleep(0.5)
        raise SystemExit(f"{self.command[0]} did not start:\n{(self.folder / 'server.log').read_text()[-3000:]}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: both servers stop quickly and cleanly on SIGINT."""
        self.process.send_signal(number)
        self.process.wait(timeout=30)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def postgres(folder: Path) -> Server:
    """A fresh cluster, not yet started. Its database: postgresql://aift@127.0.0.1:<port>/postgres."""
    port, user = free_port(), _own(folder)
    made = [_program("initdb"), "--pgdata", folder, "--auth", "trust", "--username", "aift", "--encoding", "UTF8", "--no-sync"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
    # Nothing of a test has to survive a power cut; a killed server, whose writes the system has, it may have to.
    quick = [part for option in ("fsync=off", "full_page_writes=off") for part in ("-c", option)]
    return Server(
        [_program("postgres"), "-D", folder, "-p", str(port), "-k", folder, "-h", "127.0.0.1", *quick], folder, port, user
    )


def redis(folder: Path) -> Server:
    """A Redis that keeps nothing, not yet started: redis://127.0.0.1:<port>/0."""
    port, user = free_port(), _own(folder)
    return Server(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder], folder, port, user)


def database_url(server: Server) -> str:
    return f"postgresql://aift@127.0.0.1:{server.port}/postgres"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
