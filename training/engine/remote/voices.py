"""How events leave a container whose only way out is its standard output: one marked line for each event.

A line carries its place in events.jsonl, so that a reader which starts again, or reads a log that lost a part, knows what it
has. Everything else on the output is the provider's log.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MARK = "\x1eAIFT "


def mark(incarnation: str, offset: int, line: str) -> str:
    """The output line for one line of events.jsonl (without its line feed) that begins at byte `offset`."""
    return MARK + json.dumps({"i": incarnation, "o": offset, "l": line}, ensure_ascii=True)


def unmark(text: str) -> dict[str, Any] | None:
    """What `mark` put in: {i, o, l}; None for any other line."""
    _, found, rest = text.partition(MARK)
    if not found:
        return None
    try:
        told = json.loads(rest)
        return told if isinstance(told["i"], str) and isinstance(told["o"], int) and isinstance(told["l"], str) else None
    except (ValueError, KeyError, TypeError):
        return None


class Output:
    """Prints what is new in events.jsonl."""

    def __init__(self, events: Path, incarnation: str):
        self.events, self.incarnation, self.offset = events, incarnation, 0

    def tell(self) -> None:
        """Print every whole line that has not been printed."""
        if not self.events.exists():
            return
        with open(self.events, "rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                print(mark(self.incarnation, self.offset, line[:-1].decode("utf-8", "replace")), flush=True)
                self.offset += len(line)


class Silent:
    """Where events are asked for instead (a Space)."""

    def tell(self) -> None:
        return
