"""Random models of a few ten thousand parameters for every family that can be written as GGUF, with tokenizers of both kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.models_app.conftest import TEXTS, make_tokenizer

SIZES: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
                         "num_key_value_heads": 2, "max_position_embeddings": 256}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 16, "pad_token_id": 0}
# name: (configuration class, its arguments, tokenizer)
FAMILIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "llama": ("LlamaConfig", {}, "bytes"),
    "llama, SentencePiece": ("LlamaConfig", {}, "pieces"),
    "llama, wide heads, tied": ("LlamaConfig", {"head_dim": 32, "tie_word_embeddings": True}, "bytes"),
    "llama 3.1's rotation": ("LlamaConfig", {"rope_parameters": LLAMA3}, "bytes"),
    "mistral": ("MistralConfig", {"sliding_window": None}, "bytes"),
    "qwen2": ("Qwen2Config", {}, "bytes"),
    "qwen2, yarn": ("Qwen2Config", {"rope_parameters": YARN}, "bytes"),
    "qwen3": ("Qwen3Config", {"head_dim": 32}, "bytes"),
    "gemma2": ("Gemma2Config", GEMMA, "pieces, no prefix"),
    "gemma3": ("Gemma3TextConfig", {**GEMMA, "num_hidden_layers": 6}, "pieces, no prefix"),
    "phi3": ("Phi3Config", {"pad_token_id": 0}, "pieces"),
}


def make_model(name: str, directory: Path, **values: Any) -> Path:
    """The family's model with random weights and three rows more than its tokenizer needs, in Hugging Face layout."""
    import torch
    import transformers

    cls, more, kind = FAMILIES[name]
    tokenizer = make_tokenizer() if kind == "bytes" else make_pieces(prefix=kind == "pieces")
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = getattr(transformers, cls)(**{**SIZES, **more, **ends, **values}, vocab_size=len(tokenizer) + 3)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    for weight in model.parameters():
        weight.data += torch.randn_like(weight) * 0.08  # norms of exactly 1 would hide a mistake
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def make_pieces(*, prefix: bool) -> Any:
    """A tokenizer.json as transformers makes it of a SentencePiece model: BPE with bytes to fall back on, every pair a merge."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    names = [*special, *(f"<0x{number:02X}>" for number in range(256))]
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=500, special_tokens=names, show_progress=False))
    raw = json.loads(tokenizer.to_str())
    raw["model"]["merges"] = _every_pair(raw["model"])
    raw["added_tokens"] = raw["added_tokens"][: len(special)]
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    raw["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, spaces]} if prefix else spaces
    raw["pre_tokenizer"] = None
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    raw["decoder"] = {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]}
    begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    raw["post_processor"] = {
        "type": "TemplateProcessing", "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }  # fmt: skip
    inner = Tokenizer.from_str(json.dumps(raw))
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _every_pair(model: dict[str, Any]) -> list[list[str]]:
    """In the order of the merges, every way to cut their results in two tokens."""
    results = dict.fromkeys("".join(pair) for pair in model["merges"])
    cuts = ([text[:cut], text[cut:]] for text in results for cut in range(1, len(text)))
    return [pair for pair in cuts if pair[0] in model["vocab"] and pair[1] in model["vocab"]]
