"""One answer, streamed: messages in, pieces of text out through a callback, stopped at any token."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .pool import ModelPool, Session
from .prompts import begins_thinking, prompt_ids, stop_ids
from .types import Answer, CannotGenerate, Sampling, Weights
from .writer import Writer


def generate(
    pool: ModelPool,
    weights: Weights,
    messages: list[dict[str, str]],
    sampling: Sampling,
    *,
    on_text: Callable[[str], None],
    should_stop: Callable[[], bool],
    on_thought: Callable[[str], None] = lambda text: None,
) -> Answer:
    """Answer the messages. `on_text` gets each new piece of text, together they are the answer, and `on_thought` what the model
    thinks before it; `should_stop` is asked at every token. Others who generate at the same time get their turn in between.

    CannotGenerate when the model can't be loaded, its template refuses the messages, or they leave no room to answer.
    """
    begun = time.perf_counter()
    with pool.using(weights) as session:
        started = time.perf_counter()
        prompt = prompt_ids(session.tokenizer, messages)
        writer = Writer(
            session.tokenizer,
            set(stop_ids(session.tokenizer, session.model)),
            on_text,
            should_stop,
            on_thought=on_thought,
            on_token=session.pass_on,
            stop=list(sampling.stop),
            thinking=begins_thinking(session.tokenizer, prompt),
        )
        _run(session, prompt, _room(session.model, len(prompt), sampling.max_new_tokens), sampling, writer)
    return _answer(writer, len(prompt), begun, started)


def _answer(writer: Writer, prompt_tokens: int, begun: float, started: float) -> Answer:
    first = writer.first_token_at
    return Answer(
        text=writer.text,
        thinking=writer.thinking,
        prompt_tokens=prompt_tokens,
        tokens=writer.tokens,
        seconds=round(time.perf_counter() - started, 4),
        first_token_seconds=None if first is None else round(first - started, 4),
        load_seconds=round(started - begun, 4),
        stop_reason=writer.stop_reason,
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


def _run(session: Session, prompt: list[int], room: int, sampling: Sampling, writer: Writer) -> None:
    import torch
    from transformers import GenerationConfig, StoppingCriteriaList

    draw: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        draw = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        torch.seed() if sampling.seed is None else torch.manual_seed(sampling.seed)  # not where somebody else's seed had got to
    ends = sorted(writer.ends)
    pad = session.tokenizer.pad_token_id
    pad = pad if pad is not None else (ends[0] if ends else 0)
    config = GenerationConfig(max_new_tokens=room, eos_token_id=ends or None, pad_token_id=pad, **draw)
    ids = torch.tensor([prompt], device=session.model.device)
    with torch.inference_mode():
        session.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            streamer=writer,
            stopping_criteria=StoppingCriteriaList([writer]),
        )
