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
    """How tokens are picked: temperature 0 takes the likeliest each time; with a seed a draw can be repeated; an answer ends
    before the first of the `stop` texts."""

    max_new_tokens: int = 256
    temperature: float = 0.7
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] | list[str] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`text` is without what the model thought first; that is `thinking`. `prompt_tokens` counts what was read, `tokens` what was
    generated, `seconds` is generation without loading, `first_token_seconds` the part of it before the first token, `load_seconds` what
    came before: loading, and waiting for others. `stop_reason` is stop, length or cancelled."""

    text: str
    thinking: str = ""
    prompt_tokens: int
    tokens: int
    seconds: float
    first_token_seconds: float | None = None
    load_seconds: float = 0.0
    stop_reason: str

    @property
    def tokens_per_second(self) -> float:
        return round(self.tokens / self.seconds, 2) if self.seconds > 0 else 0.0
