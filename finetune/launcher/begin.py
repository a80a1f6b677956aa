"""`begin.py NOTE COMMAND…`: write down who this process is, then become COMMAND.

The note is there before the program runs, so that a launcher which finds its predecessor killed can end every program it left,
also one that supervisord had started again a moment before it was killed itself. Run by its path: as a module of this package it
would import Celery first.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(note: Path, command: list[str]) -> None:
    from training.engine import process

    staged = note.with_name(f".{note.name}.{os.getpid()}")
    staged.write_text(json.dumps(process.identity(os.getpid())))  # number and start time stay the same
    os.replace(staged, note)
    os.execv(command[0], command)  # noqa: S606 (the command is the launcher's own)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    main(Path(sys.argv[1]), sys.argv[2:])
