"""Where the tokens of a text begin.

The tokenizers library says it of every token, in characters, and that takes a fifth of its time. The tokens of a byte-level
tokenizer are the text's own bytes, so there their lengths say the same: looked up by id, added up for many texts at once, and
believed only where they make up the whole text.
"""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from typing import Any, Protocol

SPLITTERS = frozenset({"ByteLevel", "Split", "Digits", "Punctuation"})  # they cut a text and leave it as it is


class Places(Protocol):
    """A text's tokens: how many, and the first one that begins at a character or after it."""

    tokens: int

    def first_at(self, char: int) -> int: ...


class Told:
    """As the library tells it. It is asked for single places: a list of all of them costs more than finding the tokens."""

    def __init__(self, encoding: Any):
        self.encoding, self.tokens = encoding, len(encoding)

    def begin_of(self, token: int) -> int:
        return self.encoding.offsets[token][0]

    def first_at(self, char: int) -> int:
        found = self.encoding.char_to_token(char)
        if found is None:  # behind the last one, or a blank that no token covers
            return bisect_left(self.encoding.offsets, (char,))
        return found if self.encoding.token_to_chars(found)[0] >= char else found + 1


class Spread:
    """So many tokens, evenly over so many characters: for tokenizers that don't tell where theirs lie."""

    def __init__(self, length: int, tokens: int):
        self.length, self.tokens = length, tokens

    def begin_of(self, token: int) -> int:
        return token * self.length // self.tokens

    def first_at(self, char: int) -> int:
        return -(-char * self.tokens // max(1, self.length))


class Summed:
    """From the bytes at which the tokens end."""

    def __init__(self, text: str, ends: Any):
        self.text, self.ends, self.tokens = text, ends, len(ends)

    def first_at(self, char: int) -> int:
        before = char if self.text.isascii() else len(self.text[:char].encode())
        return int(self.ends.searchsorted(before)) + 1 if before else 0


class Placer:
    """Encodes texts with one fast tokenizer, without the special tokens that it puts around a text."""

    def __init__(self, tokenizer: Any):
        self.backend, self.lengths = tokenizer.backend_tokenizer, byte_lengths(tokenizer)

    def __call__(self, texts: list[str]) -> list[Places]:
        if self.lengths is None:
            return [Told(encoding) for encoding in self.backend.encode_batch(texts, add_special_tokens=False)]
        ids = [encoding.ids for encoding in self.backend.encode_batch_fast(texts, add_special_tokens=False)]
        return [self._place(text, ends) for text, ends in zip(texts, self._ends(ids), strict=True)]

    def _ends(self, ids: list[list[int]]) -> Iterator[Any]:
        import numpy as np

        ends = np.cumsum(self.lengths[np.fromiter(chain.from_iterable(ids), np.int64)])
        first = before = 0
        for own in ids:
            after = first + len(own)
            yield ends[first:after] - before
            first, before = after, ends[after - 1] if after else 0

    def _place(self, text: str, ends: Any) -> Places:
        size = len(text) if text.isascii() else len(text.encode())
        changed = self.backend.normalizer is not None and not unicodedata.is_normalized("NFC", text)
        if changed or size != (ends[-1] if len(ends) else 0):
            return Told(self.backend.encode(text, add_special_tokens=False))
        return Summed(text, ends)


def byte_lengths(tokenizer: Any) -> Any:
    """How many bytes of a text each token stands for, by its id. None unless the tokens are the text's bytes, each once and in
    order: a byte-level BPE that changes nothing before (NFC apart) and moves no token's place behind."""
    backend = tokenizer.backend_tokenizer
    before, behind = _steps(backend.normalizer, "normalizers"), _steps(backend.post_processor, "processors")
    cuts = _steps(backend.pre_tokenizer, "pretokenizers")
    plain = (
        type(backend.model).__name__ == "BPE"
        and {step["type"] for step in before} <= {"NFC"}
        and {"ByteLevel"} <= {step["type"] for step in cuts} <= SPLITTERS
        and not any(step.get("add_prefix_space") for step in cuts)
        and not any(step.get("trim_offsets") for step in behind)
    )
    return _lengths(tokenizer) if plain else None


def _steps(part: Any, inner: str) -> list[dict[str, Any]]:
    """What a part of the tokenizer does, one step after the other."""
    if part is None:
        return []
    try:
        state = json.loads(part.__getstate__())
    except Exception:  # noqa: BLE001  (a part written in Python raises a bare one: nothing is known of it)
        return [{"type": "unknown"}]
    return state.get(inner, [state])


def _lengths(tokenizer: Any) -> Any:
    """A byte-level token is written with one character a byte; an added one as it stands in the text."""
    import numpy as np

    added = {number: token.content for number, token in tokenizer.added_tokens_decoder.items()}
    vocabulary = tokenizer.get_vocab()
    lengths = np.zeros(max([*vocabulary.values(), *added]) + 1, np.int64)
    for word, number in vocabulary.items():
        lengths[number] = len(word)
    for number, word in added.items():
        lengths[number] = len(word.encode())
    return lengths
