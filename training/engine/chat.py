"""From a conversation to text with the answers marked, for any chat template.

The template is asked to render the conversation whole and cut before and after each answer; where the shorter text is
a true prefix of the whole, the difference is exactly what the model must learn to say, including the token that ends
its turn. Working on text and mapping characters to tokens afterwards keeps the tokens those of the whole conversation.
Templates that rewrite earlier turns (dropping past reasoning, say) fall back to finding the answer in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
Span = tuple[int, int]


class TemplateError(ValueError):
    """The chat template refuses a conversation; the text is the template's own reason."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as the model sees it; `spans` are the character ranges it learns to write."""

    text: str
    spans: list[Span]


def render(
    tokenizer: Any,
    messages: list[Message],
    tools: Any = None,
    *,
    everything: bool = False,
    last_only: bool = False,
    special: re.Pattern[str] | None = None,
) -> Rendered:
    """The conversation's text and its trained spans: all of it with `everything`, else each assistant turn or the last one.

    An answer that ends the conversation without a closing token gets the end-of-text token, or the model would never
    learn to stop. A message with `weight` 0 is not trained (OpenAI's convention). TemplateError when it can't be rendered.
    Who renders many passes their tokenizer's special_pattern as `special`: where there are thousands it takes longer than the rest.
    """
    special = special or special_pattern(tokenizer)
    full = _apply(tokenizer, messages, tools)
    if everything:
        text = _closed(tokenizer, full, len(full), special)
        return Rendered(text, [(0, len(text))])
    spans = []
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for index in answers[-1:] if last_only else answers:
        if messages[index].get("weight") == 0:
            continue
        span = _answer_span(tokenizer, messages, tools, index, full, special)
        if span is None:
            continue
        if index == len(messages) - 1:
            closed = _closed(tokenizer, full, span[1], special)
            span, full = (span[0], len(closed) if closed != full else span[1]), closed
        spans.append(_without_trailing_space(full, span, special))
    return Rendered(full, spans)


def render_reply(
    tokenizer: Any, prompt: list[Message], reply: list[Message], tools: Any = None, *, special: re.Pattern[str]
) -> tuple[str, str]:
    """(The prompt's text up to where the model begins to write, the whole text with its reply closed). TemplateError and `special`
    as `render`."""
    asked, whole = _apply(tokenizer, prompt, tools, add_generation_prompt=True), _apply(tokenizer, [*prompt, *reply], tools)
    whole = _closed(tokenizer, whole, len(whole), special)
    return asked, whole[: _without_trailing_space(whole, (0, len(whole)), special)[1]]


def special_pattern(tokenizer: Any) -> re.Pattern[str]:
    """Matches any special token of the tokenizer (turn ends, end of text)."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    words = {str(token) for token in tokenizer.all_special_tokens} | {token.content for token in added if token.special}
    return re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or r"(?!)")


def turn_end(tokenizer: Any) -> str | None:
    """The special token that closes an assistant turn in this tokenizer's template, if it is one."""
    if not tokenizer.chat_template:
        return None
    try:
        rendered = render(tokenizer, [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    except TemplateError:
        return None
    tails = [rendered.text[start:end] for start, end in rendered.spans]
    found = special_pattern(tokenizer).findall(tails[-1]) if tails else []
    return found[-1] if found else None


def _answer_span(
    tokenizer: Any, messages: list[Message], tools: Any, index: int, full: str, special: re.Pattern[str]
) -> Span | None:
    content = _text(messages[index]).strip()
    start = _start(tokenizer, messages, tools, index, full, content)
    if start is None:
        return None
    after = full if index == len(messages) - 1 else _try(tokenizer, messages[: index + 1], tools)
    if after is not None and full.startswith(after) and len(after) > start:
        return start, len(after)
    # The template renders this turn differently once others follow: the turn ends with the next special token.
    found = full.find(content, start) if content else -1
    if found < 0:
        return None
    closing = special.search(full, found + len(content))
    return start, closing.end() if closing else found + len(content)


def _start(tokenizer: Any, messages: list[Message], tools: Any, index: int, full: str, content: str) -> int | None:
    """Where the model begins to write the answer: after the generation prompt, or at the answer's own text."""
    asked = _try(tokenizer, messages[:index], tools, add_generation_prompt=True)
    if asked is not None and full.startswith(asked) and full.find(content, len(asked)) >= 0:
        return len(asked)
    if not content:
        return None
    before = _try(tokenizer, messages[:index], tools)
    if before is not None and full.startswith(before):
        found = full.find(content, len(before))
    elif index == len(messages) - 1:
        found = full.rfind(content)
    else:
        return None
    return found if found >= 0 else None


def _closed(tokenizer: Any, full: str, end: int, special: re.Pattern[str]) -> str:
    """The text with an end-of-text token when its last answer has no closing token of its own."""
    tail = full[:end].rstrip()
    closings = [match.end() for match in special.finditer(tail)]
    if (closings and closings[-1] == len(tail)) or not tokenizer.eos_token:
        return full
    return full + tokenizer.eos_token


def _without_trailing_space(full: str, span: Span, special: re.Pattern[str]) -> Span:
    """A line feed after the closing token is the template's, not the answer's: the model has stopped by then."""
    start, end = span
    trimmed = len(full[:end].rstrip())
    closings = [match.end() for match in special.finditer(full, start, trimmed)]
    return (start, trimmed) if closings and closings[-1] == trimmed else span


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):  # OpenAI's content parts
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _try(tokenizer: Any, messages: list[Message], tools: Any, **options: Any) -> str | None:
    try:
        return _apply(tokenizer, messages, tools, **options) if messages else ""
    except TemplateError:
        return None


def _apply(tokenizer: Any, messages: list[Message], tools: Any, **options: Any) -> str:
    try:
        return tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **options)
    except Exception as error:  # the template is a program of the model's author: it may raise anything
        raise TemplateError(str(error)) from error
