"""What an engine gets to see, and what is known about devices."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from training.devices import parse_nvidia_line
from training.executors import EXECUTORS, fork_server, load
from training.executors.environment import engine_environment
from training.executors.fork_server import ForkServer

SECRETS = (
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "FIELD_ENCRYPTION_KEYS",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
)


def test_no_secret_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    environment = engine_environment()
    assert "hunter2" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert "PATH" in environment


def test_a_cold_engine_has_only_that_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The spec's rows are none that its method learns from, so the engine ends at once; its waiter's environment is looked at before."""
    from training.engine import launch
    from training.engine.rundir import RunDir
    from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec

    nowhere = str(tmp_path / "nowhere")
    spec = TrainingSpec(
        method="lora", model=ModelRef(path=nowhere), data=DataRef(train=nowhere, kind="preference"), config=Config()
    )
    RunDir(tmp_path).write_spec(spec)

    seen: list[dict] = []
    real = launch.subprocess.Popen

    def spy(*arguments, **options):
        seen.append(options["env"])
        return real(*arguments, **options)

    monkeypatch.setattr(launch.subprocess, "Popen", spy)
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    load("local").submit(tmp_path)
    assert seen
    assert all("hunter2" not in environment.values() for environment in seen)
    deadline = time.monotonic() + 60
    while not (tmp_path / "exit.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert json.loads((tmp_path / "exit.json").read_text()) == {"code": 2}
    assert load("local").exit_cause(tmp_path) == {"code": 2}
    assert not load("local").is_alive(tmp_path)


@pytest.mark.django_db
def test_every_executor_can_be_loaded() -> None:
    for name in EXECUTORS:
        assert load(name).capabilities().name


@pytest.mark.engine
def test_a_fork_server_that_died_is_started_again(tmp_path: Path) -> None:
    server = ForkServer(tmp_path / "fork.sock")
    try:
        assert server.ready_socket()
        server._process.kill()
        server._process.wait()
        assert server.ready_socket()
        assert server._process.poll() is None
    finally:
        server.stop()
    assert not server.socket.exists()


def test_a_process_without_a_fork_server_starts_cold() -> None:
    assert fork_server.ready_socket() is None


def test_nvidias_words_are_understood() -> None:
    device = parse_nvidia_line("0, NVIDIA H200, 143771, 512, 37, 41, 9.0")
    assert (device.id, device.name, device.memory_bytes, device.utilisation) == ("cuda:0", "NVIDIA H200", 143771 * 1024**2, 0.37)
    assert parse_nvidia_line("1, GPU, [N/A], [N/A], [N/A], [N/A], 7.5").memory_bytes is None
    assert device.bf16 and parse_nvidia_line("0, Tesla T4, 15360, 1, 0, 40, 7.5").bf16 is False
    assert parse_nvidia_line("No devices were found") is None
