"""From messages to token ids, as the model learned to read them."""

from __future__ import annotations

from typing import Any

from .types import CannotGenerate
from .writer import THOUGHTS

# Ends of a turn in the common chat formats. A base model tuned on one of them ends with these, not with its own end of text.
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|end_of_text|>", "<|endoftext|>")


def prompt_ids(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    """Token ids of the conversation, ready for the assistant's turn; the plain text where there is no chat template."""
    if not tokenizer.chat_template:
        return list(tokenizer("\n\n".join(message["content"] for message in messages))["input_ids"])
    try:
        text = _render(tokenizer, messages)
    except Exception as error:  # templates raise what they like; the usual refusal is of a system turn
        if messages[0]["role"] != "system" or len(messages) < 2:
            raise CannotGenerate(f"The model's chat template refuses these messages: {error}") from error
        return prompt_ids(tokenizer, _without_system(messages))
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def stop_ids(tokenizer: Any, model: Any) -> list[int]:
    """Every token id that ends an answer: the model's, the tokenizer's, and the chat template's end of a turn."""
    ends = model.generation_config.eos_token_id
    found = set(ends if isinstance(ends, list) else [ends]) | {tokenizer.eos_token_id}
    template = tokenizer.chat_template or ""
    for word in TURN_ENDS:
        if word in template:
            found.add(_single_token(tokenizer, word))
    return sorted(token for token in found if token is not None)


def _render(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The system text moved to the front of the first turn, for templates that know no system role."""
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def _single_token(tokenizer: Any, word: str) -> int | None:
    token = tokenizer.convert_tokens_to_ids(word)
    return None if token == tokenizer.unk_token_id else token


def begins_thinking(tokenizer: Any, prompt: list[int]) -> str:
    """The mark with which the template has begun a thought for the model, so that its first words are no answer yet; else empty."""
    end = tokenizer.decode(prompt[-12:]).rstrip()
    return next((mark for mark in THOUGHTS if end.endswith(mark)), "")
