"""Chat layouts as Go templates for Ollama, each held against the model's own (Jinja) template before it is used.

A layout is written once, as what stands before and after each role's words; the Go template and the rendering that is compared come
from the same pieces. Ollama hands a template `.Messages` (with system messages among them) and `.System`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Layout:
    """`system` is None where the system's words go before the first user's, with `between` behind them."""

    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None = None
    between: str = "\n\n"
    ask: str | None = None  # what begins an answer; None: what stands before the assistant's words

    @property
    def opening(self) -> str:
        return self.assistant[0] if self.ask is None else self.ask


def _turns(before: str, after: str, *, assistant: str = "assistant", system: bool = True) -> Layout:
    """A layout whose turns only differ by the role's name."""
    roles = {role: (before.format(role), after) for role in ("system", "user", assistant)}
    return Layout(roles["user"], roles[assistant], roles["system"] if system else None)


LAYOUTS = {
    "chatml": _turns("<|im_start|>{}\n", "<|im_end|>\n"),
    "llama3": _turns("<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"),
    "gemma": _turns("<start_of_turn>{}\n", "<end_of_turn>\n", assistant="model", system=False),
    "phi3": _turns("<|{}|>\n", "<|end|>\n"),
    "zephyr": _turns("<|{}|>\n", "</s>\n"),
    "mistral": Layout(("[INST] ", " [/INST]"), (" ", "</s>"), ask=""),
    "mistral, tight": Layout(("[INST] ", "[/INST]"), (" ", "</s>"), ask=""),
    "plain": Layout(("User: ", "\n\n"), ("Assistant: ", "</s>\n\n"), ("System: ", "\n\n"), ask="Assistant:"),
}
# Conversations that the layout and the model's own template have to write alike.
TALKS: tuple[Messages, ...] = (
    [{"role": "user", "content": "Hello?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "And now?"},
    ],
)


def find_layout(tokenizer: Any) -> tuple[str, str]:
    """(name, Go template) of the layout that writes every test conversation as the tokenizer's own template does; ("", "") for none.

    A template that refuses system messages only has to agree about the others.
    """
    if not isinstance(tokenizer.chat_template, str):
        return "", ""
    for name, layout in LAYOUTS.items():
        for end in dict.fromkeys((layout.assistant[1], layout.assistant[1].rstrip("\n"), _with_eos(layout, tokenizer))):
            fitted = Layout(layout.user, (layout.assistant[0], end), layout.system, layout.between, layout.ask)
            if _agrees(fitted, tokenizer):
                return name, go_template(fitted)
    return "", ""


def _with_eos(layout: Layout, tokenizer: Any) -> str:
    return layout.assistant[1].replace("</s>", tokenizer.eos_token or "</s>")


def _agrees(layout: Layout, tokenizer: Any) -> bool:
    written = [(render(layout, talk), _tried(tokenizer, talk)) for talk in TALKS]
    return any(wanted for _, wanted in written) and all(wanted in (None, ours) for ours, wanted in written)


def _tried(tokenizer: Any, talk: Messages) -> str | None:
    """None where the template refuses the conversation."""
    try:
        return own_rendering(tokenizer, talk)
    except Exception:  # noqa: BLE001 - templates raise what they like
        return None


def own_rendering(tokenizer: Any, talk: Messages) -> str:
    """The prompt as the model learned it, without the begin-of-text token: the server puts that before every prompt itself."""
    text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    return text.removeprefix(tokenizer.bos_token) if tokenizer.bos_token else text


def render(layout: Layout, talk: Messages) -> str:
    """The conversation, ready for an answer, as the Go template writes it."""
    system = "\n\n".join(turn["content"] for turn in talk if turn["role"] == "system")
    parts = []
    for index, turn in enumerate(talk):
        lead = f"{system}{layout.between}" if layout.system is None and system and index <= 1 and turn["role"] == "user" else ""
        pair = {"system": layout.system, "user": layout.user, "assistant": layout.assistant}[turn["role"]]
        if pair:
            parts.append(f"{pair[0]}{lead}{turn['content']}{pair[1]}")
    return "".join([*parts, layout.opening])


def go_template(layout: Layout) -> str:
    """The same in Go's template language."""
    turns = []
    if layout.system:
        turns.append(f'{{{{ if eq .Role "system" }}}}{_go(layout.system)}{{{{ end }}}}')
    lead = "" if layout.system else f"{{{{ if and $.System (le $i 1) }}}}{{{{ $.System }}}}{layout.between}{{{{ end }}}}"
    turns.append(f'{{{{ if eq .Role "user" }}}}{layout.user[0]}{lead}{{{{ .Content }}}}{layout.user[1]}{{{{ end }}}}')
    turns.append(f'{{{{ if eq .Role "assistant" }}}}{_go(layout.assistant)}{{{{ end }}}}')
    return f"{{{{ range $i, $_ := .Messages }}}}{''.join(turns)}{{{{ end }}}}{layout.opening}"


def _go(pair: tuple[str, str]) -> str:
    return f"{pair[0]}{{{{ .Content }}}}{pair[1]}"
