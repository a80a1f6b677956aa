"""Heavy work on weights in a process of its own, so that a worker that lives for weeks gets the memory back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from django.conf import settings

from finetune.core.errors import Invalid


def run_program(module: str, *arguments: str, on_wait: Callable[[], None], what: str) -> None:
    """`python -m models_app.inference.<module> …`. `on_wait` is called twice a second and may raise to stop the program.

    Invalid, with its last line, when it fails; `what` names it in the sentence.
    """
    run_command([sys.executable, "-m", f"models_app.inference.{module}", *arguments], on_wait=on_wait, what=what)


def run_command(command: list[str], *, on_wait: Callable[[], None], what: str) -> None:
    """The same for any program."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(settings.BASE_DIR)}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd=settings.BASE_DIR, text=True
    ) as program:
        try:
            errors = _follow(program, on_wait)
        except BaseException:
            program.kill()
            raise
    if program.returncode:
        last = (errors.strip().splitlines() or ["it was killed, probably for want of memory"])[-1]
        raise Invalid(f"{what} failed: {last[:300]}", code="program_failed")


def _follow(program: subprocess.Popen[str], on_wait: Callable[[], None]) -> str:
    while True:
        try:
            return program.communicate(timeout=0.5)[1]
        except subprocess.TimeoutExpired:
            on_wait()
