"""What the launcher tells supervisord."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings

from finetune.launcher import instance, programs
from finetune.launcher.facts import Facts
from tests.ops.launched import wait_until
from training.engine import process


@pytest.fixture
def facts(tmp_path) -> Facts:
    found = Facts(data_dir=str(tmp_path / "a b%c"), host="0.0.0.0", port=8123, valkey_socket=str(tmp_path / "v" / "valkey.sock"))
    found.run_dir.mkdir(parents=True)
    return found


def names(facts: Facts) -> list[str]:
    return [program.name for program in programs.programs(facts)]


def test_valkey_starts_first_and_stops_last(facts):
    order = {program.name: program.priority for program in programs.programs(facts)}
    assert min(order, key=order.get) == "valkey"
    assert set(order) == {"valkey", "web", "train", "general", "cloud", "inference", "beat"}


def test_without_a_socket_no_valkey_is_started(facts):
    outside = Facts(facts.data_dir, facts.host, facts.port, None)
    assert names(outside) == ["web", "train", "general", "cloud", "inference", "beat"]


def test_every_queue_has_a_worker(facts):
    commands = [program.command for program in programs.programs(facts)]
    served = {queue for command in commands if "-Q" in command for queue in command[command.index("-Q") + 1].split(",")}
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()} | {settings.CELERY_TASK_DEFAULT_QUEUE}
    assert routed <= served


def test_odd_paths_survive_the_configuration_file(facts):
    programs.write_configuration(facts)

    parser = configparser.RawConfigParser()
    parser.read(facts.supervisor_file)
    assert parser["program:web"]["stdout_logfile"].replace("%%", "%") == str(facts.log_dir / "web.log")
    assert "%%h" in parser["program:train"]["command"]


def test_only_a_named_proxy_is_believed(facts, monkeypatch):
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    assert "--no-proxy-headers" in web_command(facts)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1")
    assert "--no-proxy-headers" not in web_command(facts)


def web_command(facts: Facts) -> list[str]:
    return next(program.command for program in programs.programs(facts) if program.name == "web")


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1"), ("box", "http://box:1")])
def test_the_printed_address_can_be_opened(host, url):
    assert Facts("/x", host, 1, None).local_url == url


def test_the_lock_ends_with_its_process(facts):
    with instance.lock(facts), pytest.raises(instance.AlreadyRunning, match=str(os.getpid())), instance.lock(facts):
        pass
    with instance.lock(facts):
        pass


def test_leftovers_are_ended_but_not_strangers(facts):
    ours = subprocess.Popen(["sleep", "60"])
    stranger = subprocess.Popen(["sleep", "60"])
    known = [process.identity(ours.pid), {**process.identity(stranger.pid), "start_time": 1.0}]
    facts.processes_file.write_text(json.dumps([[known[1]], [known[0]], []]))

    instance.stop_leftovers(facts)

    assert ours.wait(timeout=5) == -15
    assert stranger.poll() is None
    assert not facts.processes_file.exists()
    stranger.kill()
    stranger.wait()


def test_a_program_is_noted_before_it_begins_and_ended_by_the_next_start(facts):
    """Nobody but the program itself wrote it down: launcher and supervisord were killed at once after starting it."""
    programs.write_configuration(facts)
    parser = configparser.RawConfigParser()
    parser.read(facts.supervisor_file)
    begin = shlex.split(parser["program:train"]["command"].replace("%%", "%"))[:3]
    started = subprocess.Popen([*begin, sys.executable, "-c", "import time; time.sleep(60)"], cwd=settings.BASE_DIR)
    try:
        wait_until(lambda: (facts.notes_dir / "train").exists(), 20, "the note")
        assert process.is_alive(json.loads((facts.notes_dir / "train").read_text()))
        reaper = threading.Thread(target=started.wait)
        reaper.start()
        instance.stop_leftovers(facts)
        reaper.join(20)
        assert started.returncode == -signal.SIGTERM
        assert not list(facts.notes_dir.iterdir())
    finally:
        started.kill()


def test_a_program_that_two_notes_name_is_told_once(facts):
    """A second SIGTERM would cut its tidying short."""
    facts.notes_dir.mkdir()
    count = "import signal, sys, time; told = []; signal.signal(signal.SIGTERM, lambda *_: told.append(1)); print(flush=True)"
    program = [sys.executable, "-c", f"{count}\nwhile not told: time.sleep(0.05)\ntime.sleep(0.5); sys.exit(len(told))"]
    started = subprocess.Popen(program, stdout=subprocess.PIPE)
    started.stdout.readline()
    identity = process.identity(started.pid)
    (facts.notes_dir / "train").write_text(json.dumps(identity))
    facts.processes_file.write_text(json.dumps([[], [identity], []]))

    reaper = threading.Thread(target=started.wait)
    reaper.start()
    instance.stop_leftovers(facts)
    reaper.join(20)

    assert started.returncode == 1


def test_a_program_that_does_not_end_is_killed_after_its_patience(facts, monkeypatch):
    monkeypatch.setattr(instance, "patience", lambda facts: 0.5)
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    started = subprocess.Popen([sys.executable, "-c", ignore], stdout=subprocess.PIPE)
    started.stdout.readline()
    facts.processes_file.write_text(json.dumps([[], [process.identity(started.pid)], []]))

    reaper = threading.Thread(target=started.wait)
    reaper.start()
    instance.stop_leftovers(facts)
    reaper.join(20)

    assert started.returncode == -signal.SIGKILL
