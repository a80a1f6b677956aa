"""How long a dataset's rows are in tokens, from a sample and without a tokenizer.

A tokenizer of 150,000 words needs more than 100 MB in the web process, so tokens are counted from bytes: how many a token
holds depends on the vocabulary's size and the script. Runs that finished tell how far off that is (estimates.py).
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.engine.spec import Config

SAMPLE = 200  # rows looked at
GROUPS = 8  # from so many places of the file
# Bytes of English text in one token, by the vocabulary's size (byte-level BPE; measured on alpaca_en_demo, docs/estimates.md).
BYTES_PER_TOKEN = ((256, 1.0), (512, 2.0), (1024, 2.6), (4096, 3.75), (32_000, 4.2), (128_000, 4.6), (256_000, 4.7))
# Digits and signs hardly share a token: so many of them make one, and so large was their share of the text above.
SIGNS_PER_TOKEN, MEASURED_SIGNS = 1.2, 0.041
SIGNS = re.compile(r"[!-@\[-`{-~]")
# Bytes of a token in other scripts, whose letters take two or three.
OTHER_SCRIPT_BYTES = 3.0
# The columns that make the sequences a model reads, by the dataset's kind; each sequence's last one is the answer that is judged.
SEQUENCES = {
    "text": (("text",),),
    "sft": (("messages",),),
    "preference": (("prompt", "chosen"), ("prompt", "rejected")),
    "unpaired": (("prompt", "completion"),),
}
# What a ChatML-like template writes around a message: two marks, the role, two line ends.
MESSAGE_TOKENS = 5


Row = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class RowSample:
    """For each sampled row: bytes of ASCII and of other text, of answers, how many messages it has, and its ASCII digits and signs."""

    rows: tuple[Row, ...]
    kind: str

    def lengths(self, vocabulary: int) -> list[int]:
        """Tokens of each row under a vocabulary of this size."""
        per_token = bytes_per_token(vocabulary)
        other, sign = min(per_token, OTHER_SCRIPT_BYTES), min(per_token, SIGNS_PER_TOKEN)
        letter = (1 - MEASURED_SIGNS) / (1 / per_token - MEASURED_SIGNS / sign)
        return [
            max(2, math.ceil((plain - signs) / letter + signs / sign + foreign / other) + MESSAGE_TOKENS * messages)
            for plain, foreign, _, messages, signs in self.rows
        ]

    @property
    def labelled(self) -> float:
        """Share of the text that is an answer."""
        total = sum(row[0] + row[1] for row in self.rows)
        return sum(row[2] for row in self.rows) / total if total else 1.0

    @property
    def shared(self) -> float:
        """Share of the text that a pair's second sequence has in common with its first: the prompt."""
        if self.kind != "preference":
            return 0.0
        total = sum(row[0] + row[1] for row in self.rows)
        return sum(row[0] + row[1] - row[2] for row in self.rows[1::2]) / total if total else 0.0


def sample_rows(path: Path, kind: str) -> RowSample:
    """A sample of the normalised rows, taken evenly over the file; the same file gives the same one. FileNotFoundError without it."""
    return _sample(path, path.stat().st_mtime_ns, kind)


def labelled_share(method: str, sample: RowSample, config: Config) -> float:
    """The share of the tokens whose logits are computed: the answers; for ORPO the preferred answer's prompt too."""
    if method == "orpo":
        return min(1.0, sample.labelled + sample.shared)
    if sample.kind == "text" or (sample.kind == "sft" and not config.assistant_only_loss):
        return 1.0
    return sample.labelled


def bytes_per_token(vocabulary: int) -> float:
    """Interpolated between the measured sizes, on a logarithmic scale."""
    first, last = BYTES_PER_TOKEN[0], BYTES_PER_TOKEN[-1]
    size = min(max(vocabulary, first[0]), last[0])
    for (small, low), (large, high) in itertools.pairwise(BYTES_PER_TOKEN):
        if size <= large:
            return low + (high - low) * math.log(size / small) / math.log(large / small)
    return last[1]


@functools.lru_cache(maxsize=64)
def _sample(path: Path, modified: int, kind: str) -> RowSample:
    import pyarrow.parquet as parquet

    sequences = SEQUENCES[kind]
    columns = sorted({column for sequence in sequences for column in sequence})
    with parquet.ParquetFile(path) as file:
        groups = file.num_row_groups
        chosen = sorted({index * groups // GROUPS for index in range(GROUPS)}) if groups else []
        rows = [row for group in chosen for row in _rows(file, group, columns, SAMPLE // len(chosen))]
    return RowSample(tuple(_measured([row[column] for column in sequence], kind) for row in rows for sequence in sequences), kind)


def _rows(file: Any, group: int, columns: list[str], count: int) -> list[dict[str, str]]:
    """Every n-th row of a group, so that rows sorted by length don't mislead."""
    rows = file.metadata.row_group(group).num_rows
    step = max(1, rows // max(1, count))
    found: list[dict[str, str]] = []
    for batch in file.iter_batches(batch_size=1024, row_groups=[group], columns=columns):
        taken = [batch.column(column)[::step].to_pylist() for column in columns]
        found.extend(dict(zip(columns, (value or "" for value in row), strict=True)) for row in zip(*taken, strict=True))
    return found[:count]


def _measured(texts: list[str], kind: str) -> Row:
    if kind == "text":
        return _plain_row(texts[0])
    *before, last = (_chat_row(text) for text in texts)
    plain, foreign, _, messages, signs = (sum(numbers) for numbers in zip(*before, last, strict=True))
    return plain, foreign, last[2], messages, signs


def _plain_row(text: str) -> Row:
    plain, foreign, signs = _split(text)
    return plain, foreign, plain + foreign, 0, signs


def _chat_row(text: str) -> Row:
    try:
        messages = [message for message in json.loads(text or "[]") if isinstance(message, dict)]
    except ValueError:
        messages = []
    sizes = [(_split(str(message.get("content") or "")), message.get("role") == "assistant") for message in messages]
    plain, foreign, signs = (sum(size[part] for size, _ in sizes) for part in range(3))
    return plain, foreign, sum(size[0] + size[1] for size, answer in sizes if answer), len(messages), signs


def _split(text: str) -> tuple[int, int, int]:
    """Bytes of ASCII characters and of all others, and how many of the first are digits or signs."""
    total, plain = len(text.encode()), sum(map(str.isascii, text))
    return plain, total - plain, len(SIGNS.findall(text))
