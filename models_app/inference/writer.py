"""From tokens to text as they come: whole characters, thoughts apart from the answer, and the end at a stop text."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

# How models mark what they think first, begin → end: Qwen, DeepSeek, SmolLM and most others; some fine-tunes; OpenThinker and Sky-T1.
THOUGHTS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<reasoning>": "</reasoning>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}


def _ignore(text: str) -> None:
    pass


class Splitter:
    """Tells what the model thinks from what it answers, piece by piece, and finds the first stop text in the answer."""

    def __init__(self, stop: list[str], on_text: Callable[[str], None], on_thought: Callable[[str], None], *, thinking: str = ""):
        self._stop = [text for text in stop if text]
        self._say, self._think = on_text, on_thought
        self._waiting = ""  # may yet turn out to be the beginning of a mark
        self._end = THOUGHTS.get(thinking, "")  # of the thought that it is in; `thinking` is the mark that the prompt has begun
        self.text = self.thinking = ""
        self.stopped = False

    def feed(self, piece: str) -> None:
        """Give out what can't be part of a mark any more."""
        self._waiting += piece
        while not self.stopped and self._step():
            pass

    def end(self) -> None:
        """Nothing more comes: what waited was no mark."""
        if not self.stopped:
            self._give(self._waiting)
        self._waiting = ""

    def _step(self) -> bool:
        """Handle the first mark that is complete; True when there was one."""
        found = [(at, mark) for mark in self._marks() if (at := self._waiting.find(mark)) >= 0]
        if found and min(found)[1] in THOUGHTS and self._waiting[: min(found)[0]].strip():
            found = [each for each in found if each[1] not in THOUGHTS]
        if not found:
            kept = max((_overlap(self._waiting, mark) for mark in self._marks()), default=0)
            self._give(self._waiting[: len(self._waiting) - kept])
            self._waiting = self._waiting[len(self._waiting) - kept :]
            return False
        at, mark = min(found)
        self._give(self._waiting[:at])
        self._waiting = self._waiting[at + len(mark) :]
        if mark in THOUGHTS or mark == self._end:
            self._end = THOUGHTS.get(mark, "")
        else:
            self.stopped = True
        return True

    def _marks(self) -> list[str]:
        """A thought ends with its mark only; it begins before the answer, not in the middle of it."""
        if self._end:
            return [self._end]
        return self._stop if self.text.strip() else [*THOUGHTS, *self._stop]

    def _give(self, text: str) -> None:
        if self._end:
            text = text if self.thinking else text.lstrip()
            self.thinking += text
        else:
            text = text.lstrip() if self.thinking and not self.text else text  # the blank lines behind a thought
            self.text += text
        if text:
            (self._think if self._end else self._say)(text)


def _overlap(text: str, mark: str) -> int:
    """Characters at the end of the text that could be the beginning of the mark."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:size])), 0)


class Writer:
    """Turns tokens into text as they come (a transformers streamer) and says when to stop (a stopping criterion).

    Text is decoded over a short window: byte-level tokens may hold half a character, and some tokenizers write a space
    only once they see the next word, so a piece is given out when it can't change any more.
    """

    def __init__(
        self,
        tokenizer: Any,
        ends: set[int],
        on_text: Callable[[str], None],
        should_stop: Callable[[], bool],
        *,
        on_thought: Callable[[str], None] = _ignore,
        on_token: Callable[[], None] = lambda: None,
        stop: list[str] | None = None,
        thinking: str = "",
    ):
        self._tokenizer = tokenizer
        self.ends = ends
        self._should_stop = should_stop
        self._on_token = on_token
        self._splitter = Splitter(stop or [], on_text, on_thought, thinking=thinking)
        self._ids: list[int] = []
        self._window = 0  # decode from here …
        self._given = 0  # … text up to this token has been given out
        self._is_prompt = True
        self.first_token_at: float | None = None
        self.stop_reason = "length"

    @property
    def text(self) -> str:
        return self._splitter.text

    @property
    def thinking(self) -> str:
        return self._splitter.thinking.rstrip()

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def put(self, value: Any) -> None:
        """Streamer: the prompt first, then every new token."""
        if self._is_prompt:
            self._is_prompt = False
            return
        if self.first_token_at is None:
            self.first_token_at = time.perf_counter()
        for token in value.flatten().tolist():
            if token in self.ends:
                self.stop_reason = "stop"
                return
            self._ids.append(token)
            self._give()

    def end(self) -> None:
        """Streamer: nothing more comes; half characters that are left are given as they are."""
        self._give(last=True)
        self._splitter.end()

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Stopping criterion, for a batch of one; asked after every token, so others may go first here."""
        import torch

        stop = self._splitter.stopped
        if stop:
            self.stop_reason = "stop"
        elif self.stop_reason != "stop":
            stop = self._should_stop()
            self.stop_reason = "cancelled" if stop else self.stop_reason
        if not stop:
            self._on_token()
        return torch.full((input_ids.shape[0],), stop, device=input_ids.device, dtype=torch.bool)

    def _give(self, *, last: bool = False) -> None:
        before = self._decode(self._ids[self._window : self._given])
        now = self._decode(self._ids[self._window :])
        if len(now) <= len(before) or (now.endswith("\ufffd") and not last):
            return
        self._window, self._given = self._given, len(self._ids)
        self._splitter.feed(now[len(before) :])

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
