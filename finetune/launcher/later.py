"""`later.py HOST PORT COMMAND…`: become COMMAND once somebody listens at HOST:PORT, or after a few seconds anyway.

Six processes that all import Django at once share two cores badly; the web process, for which a person waits, goes first.
"""

from __future__ import annotations

import os
import socket
import sys
import time

PATIENCE_SECONDS = 6.0


def main(host: str, port: int, command: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and not _listens(host, port):
        time.sleep(0.1)
    os.execv(command[0], command)  # noqa: S606 (the command is the launcher's own)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
