"""Files for the datasets' tests, and the short way from bytes to a read dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from datasets_app.formats.convert import convert
from datasets_app.formats.jsonrows import Row
from datasets_app.formats.outcome import Outcome
from datasets_app.formats.problems import Problem
from datasets_app.formats.readers import read_rows
from datasets_app.formats.source import Source
from datasets_app.models import Dataset
from datasets_app.services.upload_dataset import upload_dataset
from datasets_app.services.validate_dataset import ingest
from tests.bucket import bucket_environment, objects, on  # noqa: F401

Read = Callable[[bytes, str], list[Row | Problem]]


def jsonl(*rows: Any) -> bytes:
    """Rows as JSON Lines; text is taken as a whole line as it stands."""
    return b"".join((row if isinstance(row, str) else json.dumps(row)).encode() + b"\n" for row in rows)


def pairs(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"What is {number} + 1?", "completion": f"It is {number + 1}."} for number in range(count)]


def upload_file(content: bytes, name: str = "rows.jsonl") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def make_read(owner: User, content: bytes, name: str = "rows.jsonl", **values: Any) -> Dataset:
    """Upload, let the background half run, give the row as it is then."""
    dataset = upload_dataset(owner=owner, file=upload_file(content, name), **values)
    ingest(dataset.pk)
    dataset.refresh_from_db()
    return dataset


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Everything the reader of this file name gives for these bytes."""

    def _read(content: bytes, name: str = "rows.jsonl") -> list[Row | Problem]:
        path = tmp_path / name
        path.write_bytes(content)
        with Source(path) as source:
            return list(read_rows(source))

    return _read


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., tuple[Outcome, Path]]:
    """What the pass over these bytes found, and the Parquet file it wrote."""

    def _converted(content: bytes, name: str = "rows.jsonl", mapping: dict[str, str] | None = None) -> tuple[Outcome, Path]:
        path, target = tmp_path / name, tmp_path / "out.parquet"
        path.write_bytes(content)
        with Source(path) as source:
            return convert(source, target, mapping or {}, lambda done, total: None), target

    return _converted


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a small byte-level BPE tokenizer and a ChatML-like template, as a model's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        [row["prompt"] + row["completion"] for row in pairs(50)],
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    path = tmp_path_factory.mktemp("tokenizer")
    made.save_pretrained(path)
    return path
