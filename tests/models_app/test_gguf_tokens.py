"""llama.cpp itself reads our files: the same tokens for a text, and the same greedy answer as transformers (`make test-gguf`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from models_app.inference.llamacpp.convert import convert
from models_app.inference.llamacpp.convert_adapter import convert_adapter
from tests.models_app.conftest import make_adapter
from tests.models_app.tiny_models import FAMILIES, make_model

llama_cpp = pytest.importorskip("llama_cpp", reason="make test-gguf installs llama-cpp-python")

PROMPT = "Say 12, then say hello to everyone: über, naïve, 東京 123 👋.  ok\n\nx"
TOKENS = 24


def greedy(directory: Path, ids: list[int], adapter: Path | None = None) -> list[int]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    if adapter:
        model = PeftModel.from_pretrained(model, str(adapter)).eval()
    asked = {"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    return model.generate(input_ids=torch.tensor([ids]), **asked)[0].tolist()[len(ids) :]


def llama_greedy(file: Path, ids: list[int], adapter: Path | None = None) -> tuple[list[int], list[int]]:
    """(tokens of the prompt, tokens of the answer) as llama.cpp has them."""
    model = llama_cpp.Llama(str(file), n_ctx=256, verbose=False, lora_path=str(adapter) if adapter else None)
    answer = []
    for token in model.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
        answer.append(token)
        if len(answer) == TOKENS:
            break
    prompt = model.tokenize(PROMPT.encode(), add_bos=True, special=True)
    model.close()
    return prompt, answer


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_greedy_tokens(family: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    directory = make_model(family, tmp_path / "model")
    ids = AutoTokenizer.from_pretrained(directory)(PROMPT)["input_ids"]
    wanted = greedy(directory, ids)
    for kind in ("f32", "f16"):
        convert(directory, tmp_path / f"{kind}.gguf", type=kind)
        assert llama_greedy(tmp_path / f"{kind}.gguf", ids) == (ids, wanted), kind


@pytest.mark.parametrize("kind", ["bf16", "q8_0"])
def test_coarser_numbers_keep_the_likeliest_token(kind: str, tiny_dir: Path, tmp_path: Path) -> None:
    """A random model's choices lie close together, so only the first is compared, among the five likeliest."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(tiny_dir)(PROMPT)["input_ids"]
    with torch.inference_mode():
        best = AutoModelForCausalLM.from_pretrained(tiny_dir)(torch.tensor([ids])).logits[0, -1].topk(5).indices.tolist()
    convert(tiny_dir, tmp_path / "model.gguf", type=kind)
    assert llama_greedy(tmp_path / "model.gguf", ids)[1][0] in best


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
def test_an_adapter_on_its_base(family: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    base = make_model(family, tmp_path / "model")
    adapter = make_adapter(base, tmp_path / "adapter", seed=3)
    ids = AutoTokenizer.from_pretrained(base)(PROMPT)["input_ids"]
    wanted = greedy(base, ids, adapter)
    assert wanted != greedy(base, ids)
    convert(base, tmp_path / "base.gguf", type="f32")
    convert_adapter(base, adapter, tmp_path / "adapter.gguf")
    assert llama_greedy(tmp_path / "base.gguf", ids, tmp_path / "adapter.gguf")[1] == wanted
