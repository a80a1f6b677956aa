"""What README and docs/ tell people to type, and how each line is tested: run as it stands, or why it can't be run here.

A line that is new in a page runs with its page; where it can't, it needs a reason in NOT_HERE (tests/dashboard/test_help.py asks).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from django.conf import settings

ROOT: Path = settings.BASE_DIR
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = ("sh", "bash", "shell", "console")
# Page → the test that runs its lines in order.
RUN = {
    "docs/api.md": "tests/e2e/test_docs_run.py",
    "docs/cli.md": "tests/e2e/test_docs_run.py",
    "docs/engine.md": "tests/engine/test_by_hand.py",
    "docs/operations.md": "tests/operations/test_docs.py",
}
# Beginning of a line → why it is not run, and what is tested in its place.
NOT_HERE = {
    "make run": "installs and runs for ever: `make -n` here; what it starts is every browser test's installation",
    "make demo": "takes minutes: its parts are in tests/ops/test_demo.py, and bench/newcomer.py times the whole",
    "make test": "that is this suite",
    "make setup": "installs gigabytes",
    "celery ": "runs for ever: its options are parsed here, the same lines are in finetune/launcher/programs.py",
    "uvicorn ": "runs for ever: its options are parsed here, the same line is in finetune/launcher/programs.py",
    "git ": "needs the place this was cloned from",
    "docker ": "needs Docker: tests/contract/test_deployment.py checks the compose file",
    "cp ": "writes into a system's own directories",
    "useradd ": "needs root",
    "systemctl ": "needs systemd as the first process: tests/contract/test_deployment.py checks the units",
}


def blocks(page: Path, languages: tuple[str, ...] = SHELL) -> list[str]:
    """The fenced blocks of a page in one of these languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def lines(body: str) -> list[str]:
    """The commands of a block, each on one line, without comments."""
    whole = body.replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0].strip() for line in whole if line.strip() and not line.startswith("#")]


def every_line() -> list[tuple[str, str]]:
    """(page, command) of everything in a shell block."""
    return [(str(page.relative_to(ROOT)), line) for page in PAGES for body in blocks(page) for line in lines(body)]


def reason(line: str) -> str:
    """Why this line is not run; empty when it is."""
    return next((why for begin, why in NOT_HERE.items() if line.startswith(begin)), "")


class Shell:
    """A shell in which lines are typed one after the other: what one sets, the next one has."""

    def __init__(self, folder: Path, environment: Mapping[str, str]):
        self._answers = folder / ".answers"
        path = f"{Path(sys.executable).parent}:{environment['PATH']}"
        self._process = subprocess.Popen(
            ["bash", "-c", "curl() { command curl --fail-with-body \"$@\"; }; while read -r line; do eval \"$line\"; done"],
            cwd=folder, env={**environment, "PATH": path, "PYTHONPATH": str(ROOT)}, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def type(self, line: str, answers: str = "") -> str:
        """What the line prints. It must succeed. `answers` are what the person types when asked."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        self._answers.write_text(answers)
        stdin.write(f'{{ {line} ; }} < {self._answers}; ended=$?; echo; echo "=ended $ended"\n')
        stdin.flush()
        said = []
        while not (text := stdout.readline()).startswith("=ended "):
            assert text, f"the shell ended: {''.join(said)}"
            said.append(text)
        assert text == "=ended 0\n", f"{line}\n{''.join(said)}"
        return "".join(said)
