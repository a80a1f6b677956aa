"""One answer, streamed: messages in, pieces of text out through a callback, stopped at any token."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .pool import ModelPool
from .prompts import prompt_ids, stop_ids
from .types import Answer, CannotGenerate, Sampling, Weights


def generate(
    pool: ModelPool,
    weights: Weights,
    messages: list[dict[str, str]],
    sampling: Sampling,
    *,
    on_text: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> Answer:
    """Answer the messages. `on_text` gets each new piece of text, together they are the answer; `should_stop` is asked at every token.

    CannotGenerate when the model can't be loaded, its template refuses the messages, or they leave no room to answer.
    """
    model, tokenizer = pool.get(weights)
    prompt = prompt_ids(tokenizer, messages)
    room = _room(model, len(prompt), sampling.max_new_tokens)
    writer = Writer(tokenizer, set(stop_ids(tokenizer, model)), on_text, should_stop)
    started = time.perf_counter()
    _run(model, tokenizer, prompt, room, sampling, writer)
    return Answer(
        text=writer.text, tokens=writer.tokens, seconds=round(time.perf_counter() - started, 4), stop_reason=writer.stop_reason
    )


def _room(model: Any, prompt_tokens: int, wanted: int) -> int:
    """New tokens that fit behind the prompt."""
    if not prompt_tokens:
        raise CannotGenerate("The prompt has no tokens.")
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is None:
        return wanted
    if prompt_tokens >= limit:
        raise CannotGenerate(f"The prompt has {prompt_tokens} tokens; this model reads at most {limit}. Shorten it.")
    return min(wanted, limit - prompt_tokens)


def _run(model: Any, tokenizer: Any, prompt: list[int], room: int, sampling: Sampling, writer: Writer) -> None:
    import torch
    from transformers import GenerationConfig, StoppingCriteriaList

    if sampling.seed is not None:
        torch.manual_seed(sampling.seed)
    draw: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        draw = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    ends = sorted(writer.ends)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (ends[0] if ends else 0)
    config = GenerationConfig(max_new_tokens=room, eos_token_id=ends or None, pad_token_id=pad, **draw)
    ids = torch.tensor([prompt], device=model.device)
    with torch.inference_mode():
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            streamer=writer,
            stopping_criteria=StoppingCriteriaList([writer]),
        )


class Writer:
    """Turns tokens into text as they come (a transformers streamer) and says when to stop (a stopping criterion).

    Text is decoded over a short window: byte-level tokens may hold half a character, and some tokenizers write a space
    only once they see the next word, so a piece is given out when it can't change any more.
    """

    def __init__(self, tokenizer: Any, ends: set[int], on_text: Callable[[str], None], should_stop: Callable[[], bool]):
        self._tokenizer = tokenizer
        self.ends = ends
        self._on_text = on_text
        self._should_stop = should_stop
        self._ids: list[int] = []
        self._window = 0  # decode from here …
        self._given = 0  # … text up to this token has been given out
        self._is_prompt = True
        self.text = ""
        self.stop_reason = "length"

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def put(self, value: Any) -> None:
        """Streamer: the prompt first, then every new token."""
        if self._is_prompt:
            self._is_prompt = False
            return
        for token in value.flatten().tolist():
            if token in self.ends:
                self.stop_reason = "stop"
                return
            self._ids.append(token)
            self._give()

    def end(self) -> None:
        """Streamer: nothing more comes; half characters that are left are given as they are."""
        self._give(last=True)

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Stopping criterion, for a batch of one."""
        import torch

        stop = self.stop_reason != "stop" and self._should_stop()
        if stop:
            self.stop_reason = "cancelled"
        return torch.full((input_ids.shape[0],), stop, device=input_ids.device, dtype=torch.bool)

    def _give(self, *, last: bool = False) -> None:
        before = self._decode(self._ids[self._window : self._given])
        now = self._decode(self._ids[self._window :])
        if len(now) <= len(before) or (now.endswith("\ufffd") and not last):
            return
        piece = now[len(before) :]
        self._window, self._given = self._given, len(self._ids)
        self.text += piece
        self._on_text(piece)

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
