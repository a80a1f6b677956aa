"""A JSON list of rows, split into its items while it streams by. Memory holds one item, never the list.

Only strings and brackets are looked at to find where an item ends, so an item that is not valid JSON is one Problem and the
next item is read as if nothing had happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from datasets_app.formats.jsonrows import Row, excerpt, parse_row, too_long
from datasets_app.formats.problems import Problem
from datasets_app.formats.source import MAX_ROW_BYTES, Source

CHUNK = 1024**2
_IN_STRING = rb'[^"\\]*+(?:\\.[^"\\]*+)*+"'
# Up to the next bracket, over whole strings; or to a quote whose string does not end in what we have.
_STRUCTURE = re.compile(rb'(?:[^"{}\[\]]++|"' + _IN_STRING + rb')*+(["{}\[\]])', re.S)
_BARE = re.compile(rb'(?:[^"{}\[\],]++|"' + _IN_STRING + rb')*+(["{}\[\],])', re.S)  # in a bare value a comma ends it
_STRING_END = re.compile(_IN_STRING, re.S)
_SPACE = re.compile(rb"\s*+")
_OPENER = {b"}": b"{", b"]": b"["}


def read_json_array(source: Source, *, limit: int = MAX_ROW_BYTES) -> Iterator[Row | Problem]:
    """The objects of the file's top-level list."""
    scanner = _Scanner(limit)
    while chunk := source.stream.read1(CHUNK):  # type: ignore[attr-defined]
        yield from scanner.feed(chunk)
        if scanner.done and scanner.trailing:
            break
    yield from scanner.end()


class _Scanner:
    """Takes the file in pieces and gives back whole items."""

    def __init__(self, limit: int):
        self.limit = limit
        self.buffer = b""
        self.at = 0  # scanned up to here
        self.start: int | None = None  # where the current item begins in the buffer
        self.line = 1  # of buffer[self.counted]
        self.counted = 0
        self.item_line = 1
        self.stack: list[bytes] = []  # open brackets, the outer list first
        self.in_string = self.skipping = self.done = False
        self.trailing: int | None = None

    def feed(self, chunk: bytes) -> Iterator[Row | Problem]:
        self.buffer += chunk
        while self._step():
            if self._item_ended:
                yield self._take()
        if self.start is not None and self.at - self.start > self.limit:
            self.skipping = True
        self._forget()

    def end(self) -> Iterator[Row | Problem]:
        """What is left when the file is over."""
        if self.trailing is not None:
            yield Problem("trailing_data", "There is more text after the end of the list; it was not read.", line=self.trailing)
        elif not self.done:
            line = self.item_line if self.start is not None else self._line_at(self.at)
            text = b"" if self.start is None or self.skipping else self.buffer[self.start :]
            words = "The list never ends: the file was cut off, or a quote or bracket is missing in the row that begins here."
            yield Problem("unfinished", words, line=line, excerpt=excerpt(text))

    _item_ended = False

    def _step(self) -> bool:
        """Look at the next thing; False when more bytes are needed."""
        self._item_ended = False
        if self.in_string:
            return self._finish_string()
        if self.done or self.start is None:
            return self._between()
        match = (_BARE if len(self.stack) == 1 else _STRUCTURE).match(self.buffer, self.at)
        if match is None:
            self.at = len(self.buffer)
            return False
        self._token(match.group(1), match.end())
        return True

    def _between(self) -> bool:
        """Between two items: find where the next begins."""
        self.at = _SPACE.match(self.buffer, self.at).end()  # type: ignore[union-attr]
        if self.at >= len(self.buffer):
            return False
        token = self.buffer[self.at : self.at + 1]
        if self.done:
            self.trailing = self.trailing or self._line_at(self.at)
            return False
        if not self.stack and token == b"[":
            self.stack.append(token)
        elif token == b"]":
            self.done = True
        elif token != b",":
            self.start, self.item_line = self.at, self._line_at(self.at)
            return True
        self.at += 1
        return True

    def _token(self, token: bytes, after: int) -> None:
        """A quote, bracket or comma inside an item."""
        self.at = after
        if token == b'"':
            self.in_string = True
        elif token in b"{[":
            self.stack.append(token)
        elif len(self.stack) == 1:  # a bare value such as 42 ends before the comma or bracket
            if token != b"}":
                self.at, self._item_ended = after - 1, True
        else:
            self._close(_OPENER[token])

    def _close(self, opener: bytes) -> None:
        """Close back to the bracket that fits, so that one forgotten bracket spoils one row only."""
        while len(self.stack) > 1 and self.stack.pop() != opener:
            pass
        self._item_ended = len(self.stack) == 1

    def _finish_string(self) -> bool:
        match = _STRING_END.match(self.buffer, self.at)
        if match:
            self.at, self.in_string = match.end(), False
            return True
        rest = self.buffer[self.at :]
        backslashes = len(rest) - len(rest.rstrip(b"\\"))
        self.at = len(self.buffer) - backslashes % 2  # an escape cut in two is looked at again
        return False

    def _take(self) -> Row | Problem:
        raw, self.start = self.buffer[self.start : self.at], None
        if self.skipping or len(raw) > self.limit:
            self.skipping = False
            return too_long(self.item_line)
        return parse_row(raw, self.item_line)

    def _line_at(self, position: int) -> int:
        self.line += self.buffer.count(b"\n", self.counted, position)
        self.counted = position
        return self.line

    def _forget(self) -> None:
        """Drop what is behind us."""
        keep = self.at if self.start is None or self.skipping else self.start
        self._line_at(max(keep, self.counted))
        self.buffer = self.buffer[keep:]
        self.at -= keep
        self.counted -= keep
        if self.start is not None:
            self.start = 0
