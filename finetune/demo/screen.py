"""What the person at the terminal sees: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

LINE_SECONDS = 5.0


class Screen:
    """Writes to the terminal and keeps the seconds of each stage."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.stages: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage with its duration; a failed one is not counted."""
        start = time.monotonic()
        self.console.print(f"[bold]{name}[/bold] …")
        yield
        self.stages.append((name, time.monotonic() - start))

    def say(self, text: str) -> None:
        self.console.print(f"  {text}", markup=False)

    def answers(self, prompt: str, base: str, tuned: str) -> None:
        """The same prompt, before and after."""
        for title, text in (("Prompt", prompt), ("Base model", base), ("Tuned model", tuned)):
            self.console.print(Panel(text.strip() or "(nothing)", title=title, title_align="left"), markup=False)

    def losses(self, rows: list[tuple[str, float | None, float | None]]) -> None:
        table = Table("", "before", "after")
        for name, before, after in rows:
            table.add_row(name, *("–" if value is None else f"{value:.4f}" for value in (before, after)))
        self.console.print(table)

    def times(self) -> None:
        table = Table("stage", "seconds")
        for name, seconds in self.stages:
            table.add_row(name, f"{seconds:.1f}")
        table.add_section()
        table.add_row("all", f"{sum(seconds for _, seconds in self.stages):.1f}")
        self.console.print(table)


class Progress:
    """Step, loss and ETA of a job; used as a context manager."""

    def __init__(self, console: Console):
        self._console = console
        columns = [TextColumn("  {task.description:<10}"), BarColumn(), MofNCompleteColumn()]
        self._bar = Bar(*columns, TextColumn("{task.fields[facts]}"), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("queued", total=None, facts="")
        self._next_line = 0.0

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def show(self, status: dict[str, Any], events: list[dict[str, Any]]) -> None:
        """Bring the bar up to date; without a terminal print a line every few seconds."""
        progress = status.get("progress") or {}
        name = status.get("phase") or status.get("status", "")
        facts = _facts(progress, _newest_loss(events))
        step, total = progress.get("step") or 0, progress.get("total_steps")
        self._bar.update(self._task, description=name, completed=step, total=total, facts=facts)
        if not self._console.is_terminal and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self._console.print(f"  {name:<10} step {step}/{total or '?'}  {facts}", markup=False)


def _newest_loss(events: list[dict[str, Any]]) -> float | None:
    for event in reversed(events):
        if event["kind"] == "metric" and "loss" in event.get("values", {}):
            return event["values"]["loss"]
    return None


def _facts(progress: dict[str, Any], loss: float | None) -> str:
    eta = progress.get("eta_seconds")
    parts = [f"loss {loss:.4f}" if loss is not None else "", f"ETA {eta:.0f} s" if eta is not None else ""]
    return "  ".join(part for part in parts if part)
