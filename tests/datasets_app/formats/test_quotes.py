"""Lines told by their quotes: never one that the pattern refuses, and all of the usual ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.formats import quotes
from datasets_app.formats.plainrows import _offsets, check, plain_of
from datasets_app.formats.plainshapes import Plain
from datasets_app.formats.schemas import detect
from tests.datasets_app.formats.test_plainrows import FIRST, STYLES

PIECES = [b'"', b"\\", b'\\"', b"\\\\", b"\\u00e9", b"\\u12", b"\\/", b"\\n", b" ", b"x", b"{", b"}", b"[", b",", b":", b"\t", "\u3000".encode(), "é".encode(),
          b"\xff", b'"}', b'", "role": "user"', b'"}, {"role": "assistant", "content": "', b'{"role": "system", "content": "be"}, ', b"\r", b"\n", b"\r\n"]  # fmt: skip


def plain(name: str, style: int, end: bytes = b"\n") -> tuple[bytes, Plain]:
    line = STYLES[style](FIRST[name]).encode() + end
    row = json.loads(line)
    mapping = {"prompt": "question", "completion": "answer"} if name == "guessed names" else {}
    found = plain_of(line, detect([row], mapping), mapping)
    assert found is not None
    assert found.quoted is not None
    return line, found


def told(body: bytes, plain: Plain) -> list[bool] | None:
    found = quotes.told(body, _offsets(body), plain.quoted)
    return None if found is None else found[0].tolist()


def fits_pattern(body: bytes, shape: Plain) -> np.ndarray:
    texts = pa.array([text.decode() + "\n" for text in body.split(b"\n")[:-1]])
    return pc.match_substring_regex(texts, shape.pattern_with_codes).to_numpy(zero_copy_only=False)


@pytest.mark.parametrize("name", sorted(FIRST))
def test_usual_lines_are_told(name: str) -> None:
    for style in range(4):
        line, shape = plain(name, style)
        said = json.dumps('Say "é 中" \\ \n' + "and so on " * 20, ensure_ascii=style in (0, 2))[1:-1].encode()
        again = line.replace(b'"x"', b'"' + said + b'"').replace(b'"the ', b'"' + said)
        assert told(again * 3, shape) == [True] * 3
        codes = quotes.told(again, _offsets(again), shape.quoted)[1].tolist()
        assert codes == [b"\\u00e9" in again]


def test_a_turn_more_a_system_turn_and_an_empty_input_are_told() -> None:
    line, chat = plain("openai", 0)
    system = line.replace(b'[{"role"', b'[{"role": "system", "content": "Be kind."}, {"role"')
    turns = line[len(b'{"messages": [') : -len(b"]}\n")]
    longer = line.replace(b"]}", b", " + turns + b"]}")
    halved = line.replace(b"]}", b', {"role": "user", "content": "x"}]}')
    assert told(line + system + longer + halved + b"\n" + line, chat) == [True, True, True, False, False, True]
    line, alpaca = plain("alpaca", 1)
    assert told(line.replace(b"the input", b"") + line.replace(b"the output", b""), alpaca) == [True, False]
    assert told(line.replace(b"the input", b" ") + line.replace(b"the input", b"\\n"), alpaca) == [False, False]


def edited(line: bytes) -> Iterator[bytes]:
    """The line with each of its bytes left out, replaced, or with another one before it."""
    for at in range(len(line) - 1):
        yield line[:at] + line[at + 1 :]
        for byte in b'"\\ x{,u/':
            yield line[:at] + bytes([byte]) + line[at + 1 :]
            yield line[:at] + bytes([byte]) + line[at:]


@pytest.mark.parametrize("name", sorted(FIRST))
def test_no_byte_is_changed_unseen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotes, "MOST_ESCAPES", 1)
    for style in range(4):
        line, shape = plain(name, style)
        said = b'"\\u00e9\\\\ \\n\\"a '
        body = b"".join(edited(line.replace(b'"x"', said + b'"').replace(b'"the ', said)))
        found, fits = np.array(told(body, shape)), fits_pattern(body, shape)
        assert not np.any(found & ~fits)
        assert np.count_nonzero(found) > 0.9 * np.count_nonzero(fits)


@pytest.mark.parametrize("name", ["openai", "content first", "sharegpt"])
def test_turns_come_in_their_order(name: str) -> None:
    _, shape = plain(name, 0)
    (field, (user, answer)) = next(iter(FIRST[name].items()))
    system = {key: "system" if value in ("user", "human") else value for key, value in user.items()}
    orders = [turns for count in range(6) for turns in product((system, user, answer), repeat=count)]
    body = b"".join(STYLES[0]({field: turns}).encode() + b"\n" for turns in orders)
    assert told(body, shape) == fits_pattern(body, shape).tolist()


@given(st.sampled_from(sorted(FIRST)), st.integers(0, 3), st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(PIECES), st.integers(0, 3)), max_size=4),
       st.sampled_from([b"\n", b"\r\n"]))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_line_is_told_that_the_pattern_refuses(name: str, style: int, edits: list, end: bytes) -> None:
    line, shape = plain(name, style, end)
    changed = line[: -len(end)]
    for at, piece, taken in edits:
        at %= len(changed) + 1
        changed = changed[:at] + piece + changed[at + taken :]
    body = line + changed + end + line
    found = told(body, shape)
    if found is None or not _is_text(body):
        return
    assert not np.any(np.array(found) & ~fits_pattern(body, shape))
    assert found[0] and found[-1]


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("before", "after"),
    [(b'x"}', b'\\/"}'), (b'x"}', b'\\x"}'), (b'x"}', b'\\u00g9"}'), (b'x"}', b'\\u12"}'), (b'x"}', b' \\n"}'), (b'x"}', b'"}'), (b"}]}\n", b"]}}\n"),
     (b"user", b"usex"), (b'"content"', b'"Content"'), (b'"}, {', b'"}, {}, {'), (b'{"messages', b' {"messages'), (b'x"}', b'\xe2\x80\x83"}'), (b'x"}', b'x\\"}')],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_seen(before: bytes, after: bytes) -> None:
    line, chat = plain("openai", 0)
    assert told(line + line.replace(before, after, 1) + line, chat) == [True, False, True]


def test_a_control_character_is_seen_where_another_line_lacks_its_carriage_return() -> None:
    line, chat = plain("openai", 0, b"\r\n")
    tab = line.replace(b'x"}', b'x\t"}', 1)
    for short in (b"\n", line.replace(b"\r", b"")):
        for body in (line + tab + short, short + tab + line, tab + short):
            assert tab in [raw for _, raw in check(body, chat).others]


def test_a_block_may_be_shorter_than_anything_that_is_looked_for() -> None:
    _, shape = plain("text", 0)
    for body in (b"\n", b'"\n', b'""""\n', b'"""" \n', b'{"text":"x"}\n'):
        assert told(body, shape) == [False]
