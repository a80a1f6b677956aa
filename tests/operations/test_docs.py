"""docs/operations.md names nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.core.management import get_commands, load_command_class

from finetune.operations.metrics import exposition

TEXT = (Path(settings.BASE_DIR) / "docs/operations.md").read_text()


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
