"""Rows as a model will see them: measured by the thousand, or shown with the part that is learned marked.

The same rendering and the same tokenizer as training (chat.py, data.py), without its files: the platform's doctor,
statistics and preview use this in a worker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from .chat import Rendered, TemplateError, render, special_pattern
from .data import tokenise
from .templates import written
from .tokenplaces import Placer, Places, Spread, Told

Row = dict[str, Any]
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
)
MAKERS = ("rowtokens.py", "tokenplaces.py", "chat.py", "templates.py")


@dataclass(frozen=True, slots=True)
class Measure:
    """Tokens of one row: in all, learned, learned within max_length, and where the last answer begins; `refused` is the
    chat template's reason, and then the counts are 0."""

    tokens: int
    trained: int
    trained_within: int
    last_answer_at: int | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the rendered text; `cut` lies beyond max_length."""

    text: str
    trained: bool
    cut: bool = False


def fingerprint(directory: Path) -> str:
    """What decides the tokens: the tokenizer's files and the code that renders. No library is loaded for it."""
    found = hashlib.sha256()
    files = [directory / name for name in FILES] + [Path(__file__).with_name(name) for name in MAKERS]
    for path in files:
        if path.is_file():
            found.update(path.name.encode() + b"\x00" + path.read_bytes())
    return found.hexdigest()


class RowTokens:
    """One model's tokenizer with its chat template (ChatML where it has none; `made_up_template` says so)."""

    def __init__(self, directory: Path):
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        self.made_up_template = not self.tokenizer.chat_template
        if self.made_up_template:
            self.tokenizer.chat_template = written("chatml", self.tokenizer)
        self.context, self.special = _context_of(directory), special_pattern(self.tokenizer)
        self.has_end = self.tokenizer.eos_token is not None
        self.placer = Placer(self.tokenizer) if self.tokenizer.is_fast else None
        if self.placer:  # some are saved as they were last used, cutting or filling up every text
            self.tokenizer.backend_tokenizer.no_truncation()
            self.tokenizer.backend_tokenizer.no_padding()

    def measure(self, rows: Sequence[Row], kind: str, max_length: int | None = None) -> list[Measure]:
        """Canonical rows of one kind → their measures, in order. A comparison counts as its longer side."""
        sides = [(number, turns) for number, row in enumerate(rows) for turns in _sides(row, kind)]
        texts = [self._render(turns) for _, turns in sides]
        measured = self._measured(texts, kind, max_length or 2**62)
        found: list[Measure | None] = [None] * len(rows)
        for (number, _), measure in zip(sides, measured, strict=True):
            before = found[number]
            found[number] = measure if before is None else _worse(before, measure)
        return [measure for measure in found if measure is not None]

    def segments(self, row: Row, kind: str, max_length: int | None = None) -> list[Segment]:
        """What the model sees of a row, cut into stretches that are learned or not; TemplateError's words when it sees nothing."""
        found: list[Segment] = []
        for turns in _sides(row, kind):
            text = self._render(turns)
            found += [Segment(text, False)] if isinstance(text, str) else self._marked(text, kind, max_length)
        return found

    def learned(self, row: Row, kind: str) -> list[tuple[list[int], list[bool]]]:
        """Of each conversation in the row (a comparison has the chosen and the rejected one) its token ids and which are learned.

        ValueError, with the chat template's reason, when it refuses one.
        """
        texts = [self._render(turns) for turns in _sides(row, kind)]
        refused = next((text for text in texts if isinstance(text, str)), None)
        if refused is not None:
            raise ValueError(refused)
        return list(tokenise(self.tokenizer, [text for text in texts if not isinstance(text, str)], kind))

    def _render(self, row: Row) -> Rendered | str:
        """The rendered text, or why there is none."""
        if "text" in row:
            text = row["text"] + (self.tokenizer.eos_token or "")
            return Rendered(text, [(0, len(text))])
        try:
            return render(self.tokenizer, row["messages"], row.get("tools"), special=self.special)
        except TemplateError as error:
            return f"The chat template refuses this conversation: {error}"

    def _measured(self, texts: list[Rendered | str], kind: str, max_length: int) -> list[Measure]:
        usable = [text for text in texts if not isinstance(text, str)]
        placed = iter(zip(usable, self._placed([text.text for text in usable], kind), strict=True))
        return [
            Measure(0, 0, 0, None, text) if isinstance(text, str) else _measure(*next(placed), kind, max_length) for text in texts
        ]

    def _placed(self, texts: list[str], kind: str) -> Sequence[Places]:
        if self.placer is None:
            return [self._told(text, kind) for text in texts]
        if kind == "text":  # of which only the number is asked
            return [Told(encoding) for encoding in self.tokenizer.backend_tokenizer.encode_batch_fast(texts)]
        return self.placer(texts)

    def _told(self, text: str, kind: str) -> Told | Spread:
        special = kind == "text"
        if self.tokenizer.is_fast:
            return Told(self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=special))
        # A slow tokenizer does not tell where its tokens lie; spread evenly over the text, their shares come out about right.
        return Spread(len(text), len(self.tokenizer(text, add_special_tokens=special)["input_ids"]))

    def _marked(self, text: Rendered, kind: str, max_length: int | None) -> list[Segment]:
        encoded = self._told(text.text, kind)
        visible = len(text.text) if max_length is None or encoded.tokens <= max_length else encoded.begin_of(max_length)
        edges = sorted({0, len(text.text), visible, *(edge for span in text.spans for edge in span)})
        return [
            Segment(text.text[start:end], any(a <= start < b for a, b in text.spans), cut=start >= visible)
            for start, end in pairwise(edges)
        ]


def _measure(text: Rendered, encoded: Places, kind: str, max_length: int) -> Measure:
    """Counted as data.py counts: a token is learned when it begins inside a span, and the first token never is."""
    total = encoded.tokens
    if kind == "text":
        return Measure(total, max(0, total - 1), max(0, min(total, max_length) - 1), 0)
    trained = within = 0
    last: int | None = None
    for start, end in text.spans:
        first, after = encoded.first_at(start), encoded.first_at(end)
        last = first
        first = max(first, 1)
        trained += max(0, after - first)
        within += max(0, min(after, max_length) - first)
    return Measure(total, trained, within, last)


def _sides(row: Row, kind: str) -> list[Row]:
    """The conversations a row holds: one, or for a comparison the prompt with each answer."""
    if kind in ("sft", "text"):
        return [row]
    answers = ("chosen", "rejected") if kind == "preference" else ("completion",)
    return [{"messages": [*row["prompt"], *row[name]], "tools": row.get("tools")} for name in answers]


def _worse(one: Measure, two: Measure) -> Measure:
    if one.refused or two.refused:
        return one if one.refused else two
    return one if one.tokens >= two.tokens else two


def _context_of(directory: Path) -> int | None:
    """The model's longest sequence, from its config."""
    try:
        config = json.loads((directory / "config.json").read_text())
    except (OSError, ValueError):
        return None
    value = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    return value if isinstance(value, int) else None
