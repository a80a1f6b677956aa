"""Lines told by where their quotes stand, many times quicker than by a pattern: what stands between two texts is compared, the texts
themselves are looked at no closer than that nothing in them ends them.

Says yes only to lines that the shape's pattern (plainshapes.py) fits as well; it may say no to some of those. All arrays are numpy's,
and a block's bytes are never gone through one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

QUOTE, BACKSLASH, NEWLINE = 34, 92, 10
MOST_ESCAPES = 1 / 16  # of a block's bytes; a pattern is no slower where there are more
ESCAPES = b'"\\nrtbf'
MAYBE_BLANK = (b"\xc2\x85", b"\xc2\xa0", b"\xe1\x9a", b"\xe2\x80", b"\xe2\x81", b"\xe3\x80")  # how spaces of other scripts begin


@dataclass(frozen=True)
class Quoted:
    """What may stand around the texts of a line, with the quotes that open and close them.

    `begins` come before the first text, `joints` between two; all of either have the same number of quotes. `follows` are pairs of
    numbers in (*begins, *joints), `lasts` those behind which a line may end, `empty` those behind which a text may be "".
    """

    begins: tuple[bytes, ...]
    joints: tuple[bytes, ...]
    end: bytes
    follows: frozenset[tuple[int, int]]
    lasts: frozenset[int]
    empty: frozenset[int] = frozenset()

    @property
    def literals(self) -> tuple[bytes, ...]:
        return self.begins + self.joints


def in_a_row(begin: str, joints: list[str], end: str, *, empty: frozenset[int] = frozenset()) -> Quoted:
    """Always the same texts, one after the other."""
    follows = frozenset((at, at + 1) for at in range(len(joints)))
    return Quoted((begin.encode(),), tuple(map(str.encode, joints)), end.encode(), follows, frozenset([len(joints)]), empty)


def told(body: Any, offsets: Any, quoted: Quoted) -> tuple[Any, Any] | None:
    """Which lines of a block (they begin at `offsets`, the last of which is its end) are as they should be, and which of those have
    characters written as codes (\\u00e9); None where a block is too unusual to look at it so."""
    import numpy as np

    chars = np.frombuffer(body, np.uint8)
    lines = len(offsets) - 1
    line_end = quoted.end.rpartition(b"}")[2]
    if not lines or np.count_nonzero(chars < 32) != len(line_end) * lines:
        return None
    # As many in all, and every line has its own: one that lacks its carriage return would hide a tab of another.
    if not _same(chars, offsets[1:] - len(line_end), line_end).all():
        return None
    escapes = np.flatnonzero(chars == BACKSLASH)
    if len(escapes) > MOST_ESCAPES * len(chars):
        return None
    begins = _beginnings(escapes)
    quotes = _real_quotes(chars, escapes, begins)
    fits = _lines_that_fit(chars, offsets.astype(np.int64), quotes, quoted)
    wrong, codes = _escapes(chars, escapes[begins])
    coded = np.zeros(lines, bool)
    coded[np.searchsorted(offsets, codes, "right") - 1] = True
    fits[np.searchsorted(offsets, wrong, "right") - 1] = False
    return fits, coded & fits


def _beginnings(escapes: Any) -> Any:
    """Which of these backslashes begin an escape: in a run of them every other one."""
    import numpy as np

    places = np.arange(len(escapes))
    runs = np.ones(len(escapes), bool)
    runs[1:] = np.diff(escapes) != 1
    return ((places - np.maximum.accumulate(np.where(runs, places, 0))) & 1) == 0


def _real_quotes(chars: Any, escapes: Any, begins: Any) -> Any:
    """Where the quotes stand that are not part of a text."""
    import numpy as np

    quotes = np.flatnonzero(chars == QUOTE)
    behind = np.flatnonzero(chars[quotes - 1] == BACKSLASH)  # the first one's -1 is the last byte, which is a line's end
    inside = behind[begins[np.searchsorted(escapes, quotes[behind] - 1)]]
    return np.delete(quotes, inside)


def _escapes(chars: Any, escapes: Any) -> tuple[Any, Any]:
    """Where an escape is none that we read this way, and where a character's code stands."""
    import numpy as np

    kinds = chars[escapes + 1]
    codes = escapes[kinds == ord("u")]
    last = len(chars) - 1
    whole = np.ones(len(codes), bool)
    for place in range(2, 6):
        whole &= _of(b"0123456789abcdefABCDEF")[chars[np.minimum(codes + place, last)]]
    return np.concatenate([escapes[~_of(ESCAPES + b"u")[kinds]], codes[~whole]]), codes[whole]


@cache
def _of(letters: bytes) -> Any:
    """A table of all bytes: which are among these."""
    import numpy as np

    table = np.zeros(256, bool)
    table[list(letters)] = True
    return table


@cache
def _spoken() -> Any:
    """A table of all pairs of bytes: with which of them a text begins that is surely not blank."""
    import numpy as np

    table = np.zeros((256, 256), bool)
    table[0x21:0x7F] = table[0x80:] = True
    table[QUOTE] = table[BACKSLASH] = False
    table[BACKSLASH, list(b'"\\u')] = True  # what a code stands for is looked at when it is decoded
    for first, second in MAYBE_BLANK:
        table[first, second] = False
    return table


def _lines_that_fit(chars: Any, offsets: Any, quotes: Any, quoted: Quoted) -> Any:
    import numpy as np

    fits = np.zeros(len(offsets) - 1, bool)
    first = np.searchsorted(quotes, offsets)
    opening, joint = quoted.begins[0].count(b'"'), quoted.joints[0].count(b'"') if quoted.joints else len(chars) + 1
    spare = np.diff(first) - opening - quoted.end.count(b'"')
    lines = np.flatnonzero((spare >= 0) & (spare % joint == 0))
    if not len(lines):
        return fits
    count = spare[lines] // joint + 1  # of texts
    before = np.cumsum(count) - count
    number = np.arange(count.sum()) - np.repeat(before, count)  # of the text in its line
    at = np.repeat(first[lines], count) + opening - 1 + joint * number
    opens, closes = quotes[at], quotes[at + 1]
    starts = np.where(number == 0, np.repeat(offsets[lines], count), quotes[np.maximum(at - joint + 1, 0)])
    kinds = _kinds(chars, starts, opens, number == 0, quoted)
    good = (kinds >= 0) & _not_blank(chars, opens, closes, kinds, quoted)
    good[1:] &= (number[1:] == 0) | _table(quoted)[kinds[:-1], kinds[1:]]
    last, stops = before + count - 1, offsets[lines + 1]
    ends = np.isin(kinds[last], list(quoted.lasts)) & (stops - closes[last] == len(quoted.end))
    ends[ends] = _same(chars, closes[last][ends], quoted.end)
    fits[lines] = ends & np.logical_and.reduceat(good, before)
    return fits


def _kinds(chars: Any, starts: Any, opens: Any, is_first: Any, quoted: Quoted) -> Any:
    """Which of the literals stands before each text; -1 for none of them."""
    import numpy as np

    kinds, sizes = np.full(len(starts), -1), opens - starts + 1
    for kind, literal in enumerate(quoted.literals):
        rows = np.flatnonzero((sizes == len(literal)) & (is_first if kind < len(quoted.begins) else ~is_first))
        kinds[rows[_same(chars, starts[rows], literal)]] = kind
    return kinds


def _same(chars: Any, starts: Any, literal: bytes) -> Any:
    """Where the literal stands; it would end within the block everywhere. Compared by eight bytes at a time."""
    import numpy as np

    same = np.ones(len(starts), bool)
    if not len(starts):  # a block may be shorter than the literal
        return same
    if len(literal) < 8:
        for place, byte in enumerate(literal):
            same &= chars[starts + place] == byte
        return same
    words = np.ndarray((len(chars) - 7,), "<u8", chars, strides=(1,))
    for place in (*range(0, len(literal) - 8, 8), len(literal) - 8):
        same &= words[starts + place] == int.from_bytes(literal[place : place + 8], "little")
    return same


def _not_blank(chars: Any, opens: Any, closes: Any, kinds: Any, quoted: Quoted) -> Any:
    import numpy as np

    last = len(chars) - 1
    spoken = _spoken()[chars[np.minimum(opens + 1, last)], chars[np.minimum(opens + 2, last)]]
    return spoken | ((closes == opens + 1) & np.isin(kinds, list(quoted.empty))) if quoted.empty else spoken


def _table(quoted: Quoted) -> Any:
    import numpy as np

    table = np.zeros((len(quoted.literals),) * 2, bool)
    for before, after in quoted.follows:
        table[before, after] = True
    return table
