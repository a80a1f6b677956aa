"""The real processes under the real launcher. One installation serves all questions but those about starting and stopping."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from django.conf import settings

from tests.ops.launched import Launched, free_port, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    installation = Launched(tmp_path_factory.mktemp("installation"), free_port())
    installation.environment["LOG_FORMAT"] = "json"
    installation.data_dir.chmod(0o755)  # as earlier releases made it
    installation.start()
    try:
        wait_until(lambda: installation.get("/healthz") == 200, 60, "healthz")
        installation.answered_at = time.time()
        wait_until(lambda: installation.get("/readyz") == 200, 60, "readyz")
        yield installation
    finally:
        if installation.process.poll() is None:
            installation.interrupt()


def test_it_answers_within_three_seconds_of_the_processes_starting(launched):
    # On a machine with other work everything takes longer by as much as there is work for each processor.
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert launched.answered_at - launched.find("finetune.asgi").create_time() < 3 * crowd


def test_its_files_are_its_users_only(launched):
    assert launched.data_dir.stat().st_mode & 0o777 == 0o700
    open_ones = [path for path in launched.data_dir.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o077]
    assert not open_ones and (launched.data_dir / "db.sqlite3").exists()


def test_it_prints_one_address(launched):
    assert [line for line in launched.printed() if "http" in line] == [f"AiFineTune is at http://127.0.0.1:{launched.port}"]


def test_the_web_process_is_small(launched):
    assert launched.get("/register") == launched.get("/api/schema") == 200
    assert launched.find("finetune.asgi").memory_info().rss < 200e6


def test_log_lines_are_json_and_hold_no_addresses(launched):
    launched.get("/healthz?token=planted-in-an-address")
    launched.get("/nowhere")
    # The process manager writes them, a moment after they were said.
    wait_until(lambda: "/nowhere" in (launched.data_dir / "logs" / "web.log").read_text(), 20, "the line about /nowhere")
    logs = {name: (launched.data_dir / "logs" / f"{name}.log").read_text() for name in ("web", "train", "general", "beat")}
    records = [json.loads(line) for text in logs.values() for line in text.splitlines() if line.startswith("{")]

    assert {"web", "train"} <= {name for name, text in logs.items() if text.startswith("{") or '\n{"time"' in text}
    assert all({"time", "level", "logger", "message"} <= set(record) for record in records)
    assert [record["request_id"] for record in records if "/nowhere" in record["message"]]
    assert not [record for record in records if "healthz" in record["message"] or "planted" in record["message"]]


def test_celery_answers_in_a_second_shell(launched):
    status = launched.run("celery", "-A", "celery_worker", "status", "--json")
    active = launched.run("celery", "-A", "celery_worker", "inspect", "active", "--json")

    assert status.returncode == active.returncode == 0, status.stderr + active.stderr
    assert nodes(status.stdout) == nodes(active.stdout) == {"train", "general", "cloud", "inference"}


def test_the_doctor_finds_nothing_bad(launched):
    def healthy() -> bool:
        answer = subprocess.run(
            [sys.executable, "manage.py", "doctor", "--json"],
            env=launched.environment,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
        )
        found = json.loads(answer.stdout)["findings"]
        assert {item["check"] for item in found if item["level"] == "warn"} <= {"hub", "files"}, found
        return answer.returncode == 0 and "Beat sent something" in answer.stdout

    wait_until(healthy, 60, "a healthy installation")


def nodes(printed: str) -> set[str]:
    """Names of the workers in what `celery --json` printed (one object, then a line that counts them)."""
    answers, _ = json.JSONDecoder().raw_decode(printed)
    return {name.split("@")[0] for name in answers}


def test_a_port_in_use_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Launched(tmp_path / "other", port).run("finetune.launcher")

    assert refused.returncode == 1
    assert (refused.stdout + refused.stderr).splitlines() == [f"Port {port} is in use. Choose another: make run PORT={port + 1}"]


def test_a_second_launcher_on_the_same_data_is_refused(launched):
    second = Launched(launched.data_dir, free_port()).run("finetune.launcher")

    assert second.returncode == 1
    assert second.stderr.startswith("AiFineTune already runs on") and str(launched.port) in second.stderr
    assert launched.get("/healthz") == 200


def test_nonsense_in_the_environment_is_said_by_name(tmp_path):
    refused = Launched(tmp_path, free_port())
    refused.environment["PORT"] = "many"
    answer = refused.run("finetune.launcher")

    assert answer.returncode == 1
    assert answer.stderr.splitlines()[0] == "PORT='many' is not a whole number."


@pytest.mark.parametrize("part", ["finetune.asgi", "-n train@", "-n general@", "valkey-server", "celery_worker beat"])
def test_a_killed_process_is_started_again(launched, part):
    victim = launched.find(part)
    os.kill(victim.pid, signal.SIGKILL)

    wait_until(lambda: (again := launched.find(part)) and again.pid != victim.pid, 15, f"{part} back")
    wait_until(lambda: launched.get("/readyz") == 200, 30, "ready again")


def test_the_workers_come_back_to_a_killed_valkey(launched):
    os.kill(launched.find("valkey-server").pid, signal.SIGKILL)
    wait_until(lambda: launched.get("/readyz") == 200, 30, "ready again")

    def all_answer() -> bool:
        answer = launched.run("celery", "-A", "celery_worker", "inspect", "ping", "--json")
        return answer.returncode == 0 and len(nodes(answer.stdout)) == 4

    wait_until(all_answer, 40, "all workers back")


def test_no_general_worker_outlives_its_parent(launched):
    parent = launched.find("-n general@")
    pool = wait_for_pool(parent)
    os.kill(parent.pid, signal.SIGKILL)

    wait_until(lambda: not any(child.is_running() for child in pool), 20, "the pool's processes ended")


def test_reading_files_yields_to_pages(launched):
    general, web = launched.find("-n general@"), launched.find("finetune.asgi")
    wait_until(lambda: all(child.nice() > web.nice() for child in wait_for_pool(general)), 20, "nicer pool processes")


def wait_for_pool(parent: psutil.Process) -> list[psutil.Process]:
    wait_until(lambda: len(parent.children()) >= 2, 30, "the pool")
    return parent.children()


def wait_until_noted(launched: Launched, part: str) -> psutil.Process:
    """The process, once the launcher has written down whom it would have to stop."""

    def noted() -> bool:
        process, notes = launched.find(part), launched.data_dir / "run" / "processes.json"
        return process is not None and f'"pid": {process.pid},' in notes.read_text()

    wait_until(noted, 30, f"{part} is noted")
    return launched.find(part)


def test_killed_launcher_and_supervisord_are_cleaned_up_by_the_next_start(launched):
    # The launcher notes who runs every few seconds, and the test before had a worker started again.
    general = wait_until_noted(launched, "-n general@")
    wait_for_pool(general)
    programs = launched.everything()
    supervisor = next(process for process in programs if "supervisor.supervisord" in process.cmdline())
    os.kill(launched.process.pid, signal.SIGKILL)
    os.kill(supervisor.pid, signal.SIGKILL)
    launched.process.wait()
    assert launched.find("finetune.asgi") is None  # nobody supervises it
    assert launched.get("/healthz") == 200  # but it is still there

    launched.start()

    wait_until(lambda: any("is at" in line for line in launched.printed()), 60, "the second start")
    left = [process.pid for process in programs if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    wait_until(lambda: launched.get("/readyz") == 200, 30, "ready")


def test_ctrl_c_ends_everything_and_leaves_nothing(launched):
    assert len(launched.everything()) >= 7

    assert launched.interrupt() == 0

    assert launched.everything() == []
    assert launched.get("/healthz") == 0
