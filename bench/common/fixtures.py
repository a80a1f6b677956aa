"""Random Llama-shaped models and alpaca rows, made on the spot: a benchmark downloads nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ALPACA = ROOT.parent / "shared" / "data" / "alpaca_en_demo.json"
GSM8K = ALPACA.with_name("gsm8k_preference.jsonl")
VOCABULARY = 4096
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# tiny has about 1.3 million parameters, m20 about 19 million; both share keys and values between heads (GQA).
SHAPES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 128,
        "intermediate_size": 344,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "m20": {
        "hidden_size": 512,
        "intermediate_size": 1280,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
}


def conversations(count: int = 1000) -> list[list[dict[str, str]]]:
    """Alpaca's English demo rows as conversations; rows of the same lengths in made-up words where the file isn't there."""
    if ALPACA.is_file():
        rows = json.loads(ALPACA.read_text())[:count]
        return [_conversation("\n".join(filter(None, (row["instruction"], row["input"]))), row["output"]) for row in rows]
    rng = random.Random(0)
    return [_conversation(_words(rng, 8, 30), _words(rng, 10, 150)) for _ in range(count)]


def _conversation(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _words(rng: random.Random, low: int, high: int) -> str:
    return " ".join("".join(rng.choices("abcdefghij", k=rng.randint(2, 8))) for _ in range(rng.randint(low, high)))


def write_rows(path: Path, count: int = 1000) -> Path:
    """Normalised Parquet, as datasets_app writes it."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"line": line, "messages": json.dumps(row), "tools": None} for line, row in enumerate(conversations(count), 1)]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def pairs(count: int = 1000) -> list[dict[str, str]]:
    """Questions with a right and a wrong worked answer (gsm8k); pairs of the same lengths in made-up words without the file."""
    if GSM8K.is_file():
        return [json.loads(line) for line in GSM8K.read_text().splitlines()[:count]]
    rng = random.Random(0)
    return [{"prompt": _words(rng, 30, 70), "chosen": _words(rng, 30, 90), "rejected": _words(rng, 30, 110)} for _ in range(count)]


def write_pairs(path: Path, count: int = 1000) -> Path:
    """Normalised preference rows, as datasets_app writes them."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    rows = [
        {"line": line} | {name: json.dumps([{"role": role, "content": row[name]}]) for name, role in roles.items()}
        for line, row in enumerate(pairs(count), 1)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def make_model(size: str, path: Path) -> Path:
    """A random model of SHAPES in Hugging Face layout with a byte-level BPE tokenizer trained on the rows."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if (path / "model.safetensors").is_file():
        return path
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[size], vocab_size=len(tokenizer), max_position_embeddings=2048, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator((message["content"] for row in conversations() for message in row), trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = TEMPLATE
    return made
