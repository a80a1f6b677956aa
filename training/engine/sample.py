"""A small language model and a dataset it can learn, made on the spot: the platform can be tried without a network.

The model has Llama's architecture, a byte-level BPE tokenizer and a ChatML-style template, and is pre-trained for some
seconds on random small talk (sample_text.py). The dataset is the help desk of a bicycle shop that we made up.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from . import checkpoints
from .datacache import cache_folder
from .products import prefer_quick
from .sample_text import conversations

NAME = "AiFineTune Sample 1M"
CONTEXT = 256  # tokens; the longest row has about 60
VOCABULARY = 1024
SEED = 7
EMBEDDING_STD = 0.06
PRETRAINING: dict[str, Any] = {"rows": 1120, "batch": 8, "learning_rate": 4e-3}
# With these a tiny model visibly learns the shop's answers within a minute on two cores. A model this small needs a
# higher rate and rank than a real one.
SAMPLE_CONFIG: dict[str, Any] = {
    "learning_rate": 6e-3,
    "num_train_epochs": 16.0,
    "per_device_train_batch_size": 8,
    "max_length": CONTEXT,
    "lora_r": 32,
    "lora_alpha": 64,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.05,
}
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CARD = """---
license: mit
pipeline_tag: text-generation
---
# {name}

A Llama-shaped model of {parameters:,} parameters, made on this machine in a few seconds to try the platform with.
It knows the words of shops and prices but no facts: fine-tune it on the sample dataset and ask it something again.
"""


def sample_file() -> Path:
    """The sample dataset: one OpenAI-messages row a line."""
    return Path(__file__).with_name("sample_rows.jsonl")


def sample_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in sample_file().read_text().splitlines()]


def create_sample(directory: Path) -> Path:
    """Make model/ and rows.jsonl in `directory`; returns it."""
    create_sample_model(directory / "model")
    shutil.copyfile(sample_file(), directory / "rows.jsonl")
    return directory


def create_sample_model(directory: Path) -> Path:
    """Put the sample model into `directory` (Hugging Face layout), which appears only when it is whole.

    The same weights each time on the same machine, so it is trained once, which takes some seconds of processor, and kept in
    $AIFT_CACHE_DIR/samples where that is set.
    """
    folder = cache_folder("samples")
    if folder is None:
        return _train(directory)
    kept = folder / _key()
    if not kept.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        made = _train(folder / f"{kept.name}-{os.getpid()}")
        try:
            made.replace(kept)
        except OSError:  # another process was quicker
            checkpoints.discard(made)
    staged = checkpoints.stage(directory.parent, 0)
    shutil.copytree(kept, staged, dirs_exist_ok=True)
    return _appear(staged, directory)


def _key() -> str:
    """What decides the weights: this code, the rows, torch and the processor's kind."""
    parts = [checkpoints.sha256(path) for path in (Path(__file__), Path(__file__).with_name("sample_text.py"), sample_file())]
    parts += [importlib.metadata.version("torch"), platform.machine(), platform.processor()]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]


def _appear(staged: Path, directory: Path) -> Path:
    checkpoints.sync_tree(staged)
    if directory.exists():
        checkpoints.discard(directory)
    staged.replace(directory)
    return directory


def _train(directory: Path) -> Path:
    import torch

    prefer_quick()
    staged = checkpoints.stage(directory.parent, 0)
    torch.manual_seed(SEED)
    texts = conversations(PRETRAINING["rows"], _words(), SEED)
    tokenizer = _tokenizer([message["content"] for talk in [*texts, *_sample_talks()] for message in talk])
    model = _model(tokenizer)
    _pretrain(model, tokenizer, texts)
    model.save_pretrained(staged)
    tokenizer.save_pretrained(staged)
    (staged / "README.md").write_text(CARD.format(name=NAME, parameters=model.num_parameters()))
    return _appear(staged, directory)


def _words() -> list[str]:
    """The rows' words, alphabetically: a tuned adapter can only use words that the frozen model knows."""
    return sorted({word for talk in _sample_talks() for message in talk for word in message["content"].rstrip(".?").split()})


def _sample_talks() -> list[list[dict[str, str]]]:
    """The rows' words shape the vocabulary, not the weights: without them bicycle words fall into many pieces."""
    return [row["messages"] for row in sample_rows()]


def _tokenizer(texts: list[str]) -> Any:
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
    inner.train_from_iterator(texts, trainer)
    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=CONTEXT, **names)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _model(tokenizer: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    # The head shares this matrix and stays frozen under LoRA. At the usual 0.02 a word that is rare in pre-training could
    # never get a logit above 4 (√192 · √192 · 0.02), too little to be chosen with confidence among a thousand.
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=EMBEDDING_STD)
    return model


def _pretrain(model: Any, tokenizer: Any, talks: list[list[dict[str, str]]]) -> None:
    """One pass over the talks with AdamW, the rate rising briefly and falling to zero."""
    import torch

    batches = _batches(tokenizer, talks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PRETRAINING["learning_rate"], weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PRETRAINING["learning_rate"], total_steps=len(batches), pct_start=0.1, cycle_momentum=False
    )
    model.train()
    for ids in batches:
        labels = ids.masked_fill(ids == tokenizer.pad_token_id, -100)
        model(input_ids=ids, labels=labels, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval()


def _batches(tokenizer: Any, talks: list[list[dict[str, str]]]) -> list[Any]:
    import torch

    texts = [tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks]
    rows = tokenizer(texts, add_special_tokens=False)["input_ids"]
    size, pad = PRETRAINING["batch"], tokenizer.pad_token_id
    groups = [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    return [torch.tensor([row + [pad] * (max(map(len, group)) - len(row)) for row in group]) for group in groups]
