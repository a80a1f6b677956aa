"""Whether a merged model says what base and adapter say together: `python -m models_app.inference.verify_merge …`.

Both are asked for the logits of one text, in float32 where memory allows, so that what is left is the rounding of the merged
weights. The verdict is a JSON file; a model that does not agree ends the program with an error.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .prompts import prompt_ids

PROMPT = "Write one sentence about the sea, then count from one to ten."
# Root mean square of the logits' differences, as a share of their standard deviation, that rounding the weights explains. Logits
# that have nothing to do with each other differ by about 1.4.
TOLERANCE = {"float32": 0.005, "float16": 0.03, "bfloat16": 0.2}


def verify_merge(base: Path, adapter: Path, merged: Path, *, dtype: str = "float32", prompt: str = PROMPT) -> dict[str, Any]:
    """{agrees, tokens, same_next_tokens, difference, largest_difference, tolerance, dtype} for the logits of one prompt.

    `dtype` is what the arithmetic is done in. `same_next_tokens` counts positions where both would go on with the same token.
    """
    import torch
    from peft import PeftModel

    wanted = getattr(torch, dtype)
    tokenizer = _tokenizer(merged)
    ids = torch.tensor([prompt_ids(tokenizer, [{"role": "user", "content": prompt}])])
    stored = _stored_dtype(merged)
    with torch.inference_mode():
        together: Any = PeftModel.from_pretrained(_base(base, len(tokenizer), wanted), str(adapter)).eval()
        before = together(input_ids=ids).logits[0].float()
        del together
        after = _load(merged, wanted)(input_ids=ids).logits[0].float()
    width = min(before.shape[-1], after.shape[-1])
    return _judge(before[:, :width], after[:, :width], stored if dtype == "float32" else dtype)


def _judge(before: Any, after: Any, dtype: str) -> dict[str, Any]:
    gap = before - after
    difference = float(gap.square().mean().sqrt() / before.std())
    same = int((before.argmax(-1) == after.argmax(-1)).sum())
    tolerance = TOLERANCE.get(dtype, TOLERANCE["bfloat16"])
    return {
        "agrees": difference <= tolerance,
        "tokens": before.shape[0],
        "same_next_tokens": same,
        "difference": round(difference, 6),
        "largest_difference": round(float(gap.abs().max()), 6),
        "tolerance": tolerance,
        "dtype": dtype,
    }


def _tokenizer(directory: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory, local_files_only=True)


def _load(directory: Path, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, local_files_only=True).eval()


def _base(directory: Path, tokens: int, dtype: Any) -> Any:
    model = _load(directory, dtype)
    if tokens > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(tokens)
    return model


def _stored_dtype(directory: Path) -> str:
    config = json.loads((directory / "config.json").read_text())
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("base", "adapter", "merged", "verdict"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--dtype", choices=list(TOLERANCE), default="float32")
    given = parser.parse_args()
    verdict = verify_merge(given.base, given.adapter, given.merged, dtype=given.dtype)
    given.verdict.write_text(json.dumps(verdict))
    if not verdict["agrees"]:
        raise SystemExit(
            f"the merged model does not agree with base and adapter: its logits differ by {verdict['difference']:.1%} of their spread, "
            f"where rounding explains {verdict['tolerance']:.1%}"
        )


if __name__ == "__main__":
    main()
