"""What an import needs to know of a model, and its own greedy answer: `python -m models_app.inference.ollama_prepare BASE ADAPTER OUT`.

Writes {layout, template, stop, prompt, answer, tokens, context_length} as JSON; ADAPTER is - for a whole model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .ollama_layouts import find_layout, own_rendering
from .pool import ModelPool
from .prompts import prompt_ids, stop_ids
from .types import Weights

QUESTION = "Say hello and name three colours."
TOKENS = 32


def prepare(base: Path, adapter: Path | None, *, question: str = QUESTION) -> dict[str, Any]:
    """Everything about the model as it answers here: base and adapter in this machine's arithmetic, the likeliest token each time."""
    talk = [{"role": "user", "content": question}]
    pool = ModelPool()
    with pool.using(Weights(base=str(base), adapter=str(adapter) if adapter else None)) as session:
        model, tokenizer = session.model, session.tokenizer
        answer, tokens = _greedy(model, tokenizer, talk)
    layout, template = find_layout(tokenizer)
    stops = [text for number in stop_ids(tokenizer, model) if (text := str(tokenizer.convert_ids_to_tokens(number)))]
    return {
        "layout": layout,
        "template": template,
        "has_chat_template": bool(tokenizer.chat_template),
        "stop": stops,
        "question": question,
        "prompt": own_rendering(tokenizer, talk) if tokenizer.chat_template else question,
        "answer": answer,
        "tokens": tokens,
        "context_length": getattr(model.config.get_text_config(), "max_position_embeddings", None),
    }


def _greedy(model: Any, tokenizer: Any, talk: list[dict[str, str]]) -> tuple[str, int]:
    """The likeliest token each time, thoughts and all, as a server gives them that is told nothing of them."""
    import torch

    ids = torch.tensor([prompt_ids(tokenizer, talk)], device=model.device)
    ends = stop_ids(tokenizer, model)
    asked = {"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": ends or None, "pad_token_id": ends[0] if ends else 0}
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **asked)[0, ids.shape[1] :].tolist()
    kept = [token for token in out if token not in ends]
    return tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False), len(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("base", "adapter", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    given.out.write_text(json.dumps(prepare(given.base, None if str(given.adapter) == "-" else given.adapter)))


if __name__ == "__main__":
    main()
