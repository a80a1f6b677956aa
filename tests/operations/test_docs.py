"""docs/operations.md names nothing that is not there, and its commands run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.core.management import get_commands, load_command_class

from finetune.operations.metrics import exposition
from tests.handbook import blocks, lines
from tests.operations.installation import Installation

PAGE = Path(settings.BASE_DIR) / "docs/operations.md"
TEXT = PAGE.read_text()


def test_its_commands_and_their_options_exist():
    known = get_commands()
    for name, rest in set(re.findall(r"manage\.py (\w+)([^`\n#]*)", TEXT)):
        assert name in known, name
        parser = load_command_class(known[name], name).create_parser("manage.py", name)
        assert set(re.findall(r"--[\w-]+", rest)) <= set(parser._option_string_actions), (name, rest)


def test_its_metrics_are_all_there_are(db):
    told = set(re.findall(r"`(aift_\w+|process_resident_memory_bytes)", TEXT))
    found = set(re.findall(r"^# TYPE (\w+) ", exposition().decode(), re.MULTILINE))
    ours = {name for name in found if name.startswith("aift_") and not name.endswith("_created")}
    assert told - found == set() and ours <= told


def test_its_variables_are_documented():
    example = (Path(settings.BASE_DIR) / ".env.example").read_text()
    for name in set(re.findall(r"`([A-Z]+_[A-Z_]+)[`=]", TEXT)):
        assert f"{name}=" in example, name


RUNNER = """
import shlex, sys, traceback
from django.core.management import execute_from_command_line
for line in sys.argv[1:]:
    try:
        execute_from_command_line(shlex.split(line))
    except SystemExit as end:
        # The doctor also looks at broker and workers, which nobody started here: it says so and ends with 1.
        assert not end.code or (end.code == 1 and "doctor" in line), (line, end.code)
"""


def test_its_commands_run_in_their_order(tmp_path: Path) -> None:
    """Each block on an installation; what is restored goes into an empty one."""
    first, second = Installation(tmp_path / "first"), Installation(tmp_path / "second")
    for folder in (first.data_dir, second.data_dir, tmp_path / "backups"):
        folder.mkdir()
    _run(first, ["manage.py migrate -v 0"])
    for body in blocks(PAGE):
        typed = [line.replace("/srv/backups", str(tmp_path / "backups")) for line in lines(body) if line.startswith("manage.py")]
        _run(second if any(" restore " in line for line in typed) else first, typed)
        for line in lines(body):
            if line.startswith(".venv/bin/python"):
                made = subprocess.check_output([sys.executable, *shlex.split(line)[1:]], text=True)
                assert len(made.strip()) == 44
    assert len([*(tmp_path / "backups").iterdir()]) == 3
    assert (second.data_dir / "db.sqlite3").exists()


def _run(installation: Installation, typed: list[str]) -> None:
    if typed:
        installation._run("-c", RUNNER, *typed)
