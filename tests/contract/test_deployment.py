"""The files of a deployment say the same as the code: they name processes, settings and files that exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from finetune.launcher.facts import Facts
from finetune.launcher.programs import programs

ROOT: Path = settings.BASE_DIR
OURS = ("web", "migrate", "train", "inference", "general", "cloud", "beat")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_compose_accepts_it(tmp_path: Path) -> None:
    """Its own command checks it against its schema and fills in the variables; no engine is asked."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    command = ["docker-compose", "-f", str(tmp_path / "docker-compose.yml"), "config"]
    passwords = {"POSTGRES_PASSWORD": "one", "REDIS_PASSWORD": "two", "PATH": os.environ["PATH"]}
    answer = subprocess.run(command, env=passwords, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "postgresql://aifinetune:one@postgres:5432/aifinetune" in answer.stdout
    refused = subprocess.run(command, env={"PATH": os.environ["PATH"]}, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0 and "set it in .env" in refused.stderr


@pytest.mark.parametrize("name", [*OURS, "postgres", "redis"])
def test_every_service_is_bounded_and_watched(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in service and not service.get("privileged")
    assert service["healthcheck"].get("test") or name == "migrate"


def test_only_the_proxy_is_reached_from_outside(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["proxy"]


def test_every_process_of_make_run_is_in_compose_and_starts_alike(compose: dict[str, Any], tmp_path: Path) -> None:
    facts = Facts(data_dir=str(tmp_path), host="127.0.0.1", port=8000, valkey_socket=None, train_slots=1)
    script = (ROOT / "deploy/start.sh").read_text()
    for program in programs(facts):
        assert compose["services"][program.name]["command"] == ["sh", "deploy/start.sh", program.name]
        if "-Q" in program.command:
            queues = program.command[program.command.index("-Q") + 1]
            pool = program.command[program.command.index("--pool") + 1]
            assert re.search(rf"^{program.name}\) worker {queues} {pool} ", script, re.MULTILINE), program.name


def test_every_variable_is_explained(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    documented = set(re.findall(r"^#?\s?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert asked <= documented, asked - documented


def test_what_the_image_is_made_of_exists_and_secrets_stay_out() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        assert all((ROOT / source).exists() for source in line.split()[:-1]), line
    for target in ("web", "worker"):
        stage = dockerfile.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert "\nUSER 10001:10001\n" in stage and "HEALTHCHECK" in stage
    assert "worker-packages" not in dockerfile.split(" AS web\n")[1].split("\nFROM ")[0]  # no torch
    assert {".env", ".git", "data", "deploy/certificates"} <= set(ignored)


@pytest.mark.parametrize("script", ["steps.sh", "start.sh", "health.sh"])
def test_scripts_are_plain_shell(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / "deploy" / script)], check=True)
    answer = subprocess.run(["sh", str(ROOT / "deploy" / script), "nonsense", "x", "y"], capture_output=True, text=True)
    assert answer.returncode == 2


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_knows_every_word_of_the_units() -> None:
    for unit in (ROOT / "deploy/systemd").glob("*.service"):
        answer = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
        complaints = [
            line for line in answer.stderr.splitlines() if unit.name.partition("@")[0] in line and "not executable" not in line
        ]
        assert complaints == []
