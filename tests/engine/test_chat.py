"""What a chat template's answer is: exactly the assistant's words and the token that ends its turn, in any template."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from training.engine.chat import TemplateError, render, turn_end

CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
INST = "<s>{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
# No closing token at all: the end of text has to be added.
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
# Gives the last answer an empty thought and drops it once others follow, as reasoning models' templates do.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Its generation prompt opens a thought that a finished conversation does not have.
OPENING = CHAT.replace(
    "{% if add_generation_prompt %}<|im_start|>assistant\n", "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n"
)
STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATES = {"chatml": CHAT, "inst": INST, "plain": PLAIN, "thinking": THINKING, "opening": OPENING, "strict": STRICT}

TALK = [
    {"role": "user", "content": "Two plus two?"},
    {"role": "assistant", "content": "Four."},
    {"role": "user", "content": "And three?"},
    {"role": "assistant", "content": "Seven."},
]


class Templated:
    """What render needs of a tokenizer: a template, its special tokens and their names."""

    eos_token = "</s>"
    all_special_tokens = ("</s>", "<|im_end|>", "<|im_start|>")

    def __init__(self, template: str | None, vocabulary: tuple[str, ...] = ()):
        self.chat_template = template
        self._vocabulary = vocabulary

    def get_vocab(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self._vocabulary)}

    def apply_chat_template(
        self, messages: list, tools: Any = None, tokenize: bool = False, add_generation_prompt: bool = False
    ) -> str:
        environment = ImmutableSandboxedEnvironment()

        def refuse(text: str) -> None:
            raise ValueError(text)

        environment.globals["raise_exception"] = refuse
        return environment.from_string(self.chat_template).render(
            messages=messages, tools=tools, add_generation_prompt=add_generation_prompt
        )


def learned(template: str, messages: list, **options: Any) -> list[str]:
    rendered = render(Templated(template), messages, **options)
    return [rendered.text[start:end] for start, end in rendered.spans]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chatml", ["Four.<|im_end|>", "Seven.<|im_end|>"]),
        ("inst", [" Four.</s>", " Seven.</s>"]),
        ("plain", ["Four.\n", "Seven.\n</s>"]),
        ("thinking", ["Four.<|im_end|>", "<think>\n\n</think>\n\nSeven.<|im_end|>"]),
        ("opening", ["Four.<|im_end|>", "Seven.<|im_end|>"]),
        ("strict", ["Four.<|im_end|>", "Seven.<|im_end|>"]),
    ],
)
def test_the_answers_and_their_ends_are_learned(name, expected) -> None:
    assert learned(TEMPLATES[name], TALK) == expected


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_question_is_learned(name) -> None:
    taught = "".join(learned(TEMPLATES[name], TALK))
    assert "Two plus two" not in taught and "And three" not in taught and "user" not in taught


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_question_without_answer_teaches_nothing(name) -> None:
    assert learned(TEMPLATES[name], TALK[:1]) == []


def test_the_same_words_in_the_question_do_not_confuse_it() -> None:
    talk = [{"role": "user", "content": "Say Four."}, {"role": "assistant", "content": "Four."}]
    rendered = render(Templated(THINKING), talk)
    (start, end) = rendered.spans[0]
    assert rendered.text[start:end].endswith("Four.<|im_end|>") and start > rendered.text.index("Say Four.")


def test_a_message_of_weight_zero_is_read_but_not_learned() -> None:
    talk = [TALK[0], {**TALK[1], "weight": 0}, *TALK[2:]]
    assert learned(CHAT, talk) == ["Seven.<|im_end|>"]


def test_everything_is_learned_when_asked() -> None:
    rendered = render(Templated(PLAIN), TALK, everything=True)
    assert rendered.spans == [(0, len(rendered.text))] and rendered.text.endswith("</s>")


def test_the_templates_own_refusal_is_told() -> None:
    with pytest.raises(TemplateError, match="roles must alternate"):
        render(Templated(STRICT), TALK[1:])


@pytest.mark.parametrize(("name", "end"), [("chatml", "<|im_end|>"), ("inst", "</s>"), ("plain", "</s>")])
def test_it_knows_the_token_that_ends_a_turn(name, end) -> None:
    assert turn_end(Templated(TEMPLATES[name])) == end
