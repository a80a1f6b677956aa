"""What goes into and comes out of a generation."""

from __future__ import annotations

from dataclasses import dataclass


class CannotGenerate(Exception):
    """This model can't answer this request; the text says why, for the person who asked."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Directories in Hugging Face layout: the full model, and the adapter on top of it if there is one."""

    base: str
    adapter: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are picked: temperature 0 takes the likeliest each time; with a seed a draw can be repeated."""

    max_new_tokens: int = 256
    temperature: float = 0.7
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`tokens` counts generated ones; `seconds` is generation without loading; `stop_reason` is stop, length or cancelled."""

    text: str
    tokens: int
    seconds: float
    stop_reason: str

    @property
    def tokens_per_second(self) -> float:
        return round(self.tokens / self.seconds, 2) if self.seconds > 0 else 0.0
