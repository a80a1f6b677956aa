"""A warm process that starts runs by forking: they skip the many seconds of importing torch and its friends.

It imports everything and does nothing else: no torch operation, no thread, no CUDA, all of which a fork would break.
A client connects to the Unix socket, sends one JSON line {"run_dir", "env"} and gets {"pid"} or {"error"}. The child
leads its own session and writes to engine.log. When it ends, exit.json is written beside. When stdin closes, the
worker that owned this process is gone: it ends too, and the runs go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from . import memorykills, warm
from .rundir import RunDir, write_atomic

# A client that connects and says nothing must not hold up the others.
PATIENCE = 5.0


def serve(path: Path) -> int:
    """Import, listen, fork until stdin closes. Prints one line, "ready", when the first request can be answered."""
    warm.import_stack()
    server = _listen(path)
    print("ready", flush=True)
    try:
        _loop(server)
    finally:
        path.unlink(missing_ok=True)
    return 0


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen(16)
    return server


def _loop(server: socket.socket) -> None:
    running: dict[int, tuple[Path, int | None]] = {}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        for source in (server, sys.stdin.fileno(), reader):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if reader in ready:
                os.read(reader, 4096)
                _reap(running)
            if server in ready:
                _answer(server, running, inherited=(server.fileno(), reader, writer))
            if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
                return


def _answer(server: socket.socket, running: dict[int, tuple[Path, int | None]], inherited: tuple[int, ...]) -> None:
    connection, _ = server.accept()
    with connection:
        connection.settimeout(PATIENCE)
        try:
            request = json.loads(_line(connection))
            run_dir = Path(request["run_dir"])
            pid = _fork(run_dir, request.get("env") or {}, (*inherited, connection.fileno()))
            running[pid] = run_dir, memorykills.count()
            reply: dict[str, Any] = {"pid": pid}
        except (OSError, ValueError, KeyError, TypeError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(OSError):  # a client that has gone still gets its run, and finds it by process.json
            connection.sendall(json.dumps(reply).encode() + b"\n")


def _line(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        return file.readline(1 << 20)


def _fork(run_dir: Path, environment: dict[str, str], inherited: tuple[int, ...]) -> int:
    log = os.open(RunDir(run_dir).log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    pid = os.fork()
    if pid:
        os.close(log)
        return pid
    code = 1
    try:
        _become_run(log, environment, inherited)
        from .run import run

        code = run(run_dir)
    except BaseException:  # noqa: BLE001 - a child must never return into the server's loop
        with contextlib.suppress(OSError):
            traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # the disk is full
                stream.flush()
        os._exit(code)


def _become_run(log: int, environment: dict[str, str], inherited: tuple[int, ...]) -> None:
    """Leave everything of the server behind: session, signals, descriptors, standard streams."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in inherited:
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)
    os.environ.update(environment)


def _reap(running: dict[int, tuple[Path, int | None]]) -> None:
    """Write exit.json for every run that has ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if known := running.pop(pid, None):
                record_exit(known[0], os.waitstatus_to_exitcode(status), known[1])


def record_exit(run_dir: Path, code: int, kills: int | None = None) -> None:
    """exit.json: {"code": n}, or {"signal": n} for a process that was killed (a negative code, as Python counts), with
    "out_of_memory" when the kernel has killed more processes for that than the `kills` counted before."""
    cause: dict[str, int | bool] = {"signal": -code} if code < 0 else {"code": code}
    if code == -signal.SIGKILL and memorykills.rose(kills):
        cause["out_of_memory"] = True
    with contextlib.suppress(OSError):  # the directory was deleted, or the disk is full: the events say the rest
        write_atomic(RunDir(run_dir).exit_file, json.dumps(cause))
