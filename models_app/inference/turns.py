"""Whose turn it is. Threads that generate at the same time go on one token each, in the order in which they came.

The computing itself does not get quicker by doing two things at once, and adapters that share a base must not be switched in
the middle of a step; so there is one turn, and it is passed on after every token.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that is fair: whoever waits longest is next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[object] = deque()  # the first one has the turn

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """The block begins when it is this thread's turn; `pass_on` inside it lets others go first."""
        self._wait()
        try:
            yield
        finally:
            self._leave()

    @property
    def is_wanted(self) -> bool:
        """Somebody waits."""
        return len(self._line) > 1

    def pass_on(self) -> bool:
        """To the end of the line and back to its head; at once, and False, when nobody else waits. For the one whose turn it is."""
        if not self.is_wanted:
            return False
        self._leave()
        self._wait()
        return True

    def _wait(self) -> None:
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            self._changed.wait_for(lambda: self._line[0] is ticket)

    def _leave(self) -> None:
        with self._changed:
            self._line.popleft()
            self._changed.notify_all()
