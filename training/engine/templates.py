"""Chat templates for models that bring none: the common layouts, written anew. Which one a model brings is read without libraries.

A turn ends with the layout's own token where the vocabulary has it, else with the end-of-text token: a frozen model can't
learn a token it has never seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """A template with `{end}` for the token that ends a turn, and that token."""

    text: str
    end: str


def _asked(text: str) -> str:
    return "{%- if add_generation_prompt -%}{{ '" + text + "' }}{%- endif -%}"


# Layouts without a place for the system's words put them before the first question.
SYSTEM_FIRST = (
    "{%- set lead = '' -%}{%- if messages[0]['role'] == 'system' -%}"
    "{%- set lead = messages[0]['content'] + '\\n\\n' -%}{%- set messages = messages[1:] -%}{%- endif -%}"
)
LAYOUTS = {
    "chatml": Layout(
        "{%- for message in messages -%}"
        "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '{end}\\n' }}{%- endfor -%}"
        + _asked("<|im_start|>assistant\\n"),
        "<|im_end|>",
    ),
    "llama3": Layout(
        "{{ bos_token or '' }}{%- for message in messages -%}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + (message['content'] or '') | trim + '{end}' }}"
        "{%- endfor -%}" + _asked("<|start_header_id|>assistant<|end_header_id|>\\n\\n"),
        "<|eot_id|>",
    ),
    "mistral": Layout(
        "{{ bos_token or '' }}" + SYSTEM_FIRST + "{%- for message in messages -%}{%- if message['role'] == 'assistant' -%}"
        "{{ ' ' + (message['content'] or '') | trim + '{end}' }}{%- else -%}"
        "{{ '[INST] ' + (lead if loop.first else '') + (message['content'] or '') + ' [/INST]' }}{%- endif -%}{%- endfor -%}",
        "</s>",
    ),
    "gemma": Layout(
        "{{ bos_token or '' }}" + SYSTEM_FIRST + "{%- for message in messages -%}"
        "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}"
        "{{ (lead if loop.first else '') + (message['content'] or '') | trim + '{end}\\n' }}{%- endfor -%}"
        + _asked("<start_of_turn>model\\n"),
        "<end_of_turn>",
    ),
    "zephyr": Layout(
        "{%- for message in messages -%}{{ '<|' + message['role'] + '|>\\n' + (message['content'] or '') + '{end}\\n' }}"
        "{%- endfor -%}" + _asked("<|assistant|>\\n"),
        "</s>",
    ),
    "plain": Layout(
        "{%- for message in messages -%}"
        "{{ message['role'] | capitalize + ': ' + (message['content'] or '') | trim }}"
        "{%- if message['role'] == 'assistant' -%}{{ '{end}' }}{%- endif -%}{{ '\\n\\n' }}{%- endfor -%}" + _asked("Assistant:"),
        "</s>",
    ),
}  # fmt: skip

NO_TEMPLATE = (
    f"This model brings no chat template, so nobody knows how it wants conversations written. Choose one: {', '.join(LAYOUTS)}."
)


def written(name: str, tokenizer: Any) -> str:
    """The template of this layout for a tokenizer."""
    layout = LAYOUTS[name]
    end = layout.end if layout.end in tokenizer.get_vocab() else tokenizer.eos_token or layout.end
    return layout.text.replace("{end}", end)


def lacks_template(directory: Path) -> bool:
    """Whether a model's files show that it has no chat template. Without a tokenizer_config.json they show nothing."""
    if not (directory / "tokenizer_config.json").is_file() or (directory / "chat_template.jinja").is_file():
        return False
    return not any(_holds_template(directory / name) for name in ("tokenizer_config.json", "chat_template.json"))


def _holds_template(path: Path) -> bool:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and bool(values.get("chat_template"))
