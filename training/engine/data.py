"""From normalised rows to tokens and labels on disk.

In: Parquet written by datasets_app with `line` (1-based, in the uploaded file) and, by kind,
sft: `messages`, `tools`? (JSON); text: `text`. Out: Arrow files in the run directory with `input_ids` and `labels`,
where -100 marks what is read but not learned. Both are streamed: memory holds one batch of rows, whatever the file's size.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .chat import Rendered, TemplateError, render, special_pattern
from .failures import bad_data, bad_row
from .stopping import StopRequest

IGNORED = -100  # the label of a token that is not learned, as in transformers
BATCH = 1000  # rows tokenised together; enough for the tokenizer's threads, small in memory
CHECKED = 20  # rows whose marked answers are compared with the dataset's


@dataclass
class Prepared:
    """Counts of one prepared split and where its tokens lie."""

    path: Path
    rows: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    cut: int = 0
    lost_answers: int = 0
    divided: int = 0
    longest: int = 0
    dropped: list[int] = field(default_factory=list)
    unlike: int = 0
    example: str = ""

    def load(self) -> Any:
        """The split as a datasets.Dataset, mapped into memory."""
        from datasets import Dataset

        return Dataset.from_file(str(self.path))


def held_out(rows: int, fraction: float, seed: int) -> set[int]:
    """Indices of the rows kept for evaluation: the same for the same seed on every machine and library version.

    At least one row stays on each side; none is held out when `fraction` is 0 or there is only one row.
    """
    if fraction <= 0 or rows < 2:
        return set()
    count = min(max(1, round(rows * fraction)), rows - 1)
    return set(heapq.nsmallest(count, range(rows), key=lambda row: hashlib.blake2b(f"{seed}:{row}".encode()).digest()))


def count_rows(path: Path) -> int:
    """Rows of a normalised file; bad_data when it isn't one or is empty."""
    import pyarrow.parquet as parquet

    try:
        rows = parquet.read_metadata(path).num_rows
    except (OSError, ValueError) as error:
        raise bad_data(f"The dataset can't be read: {error}", "Validate the dataset again.") from error
    if rows == 0:
        raise bad_data("The dataset has no rows.")
    return rows


def prepare(
    source: Path,
    target: Path,
    *,
    tokenizer: Any,
    kind: str,
    max_length: int,
    assistant_only: bool,
    last_only: bool = False,
    chunks: bool = False,
    stop: StopRequest,
    keep: Any = None,
) -> Prepared:
    """Tokenise the rows of `source` whose index `keep` accepts (all when None) into the Arrow file `target`.

    A row longer than `max_length` is cut there, or with `chunks` divided into several. One whose answer is cut away entirely is
    dropped and counted. `last_only` learns only the last answer. bad_data names the line of a row that can't be used.
    """
    prepared, special = Prepared(target), special_pattern(tokenizer)
    with writer_of(target, _schema()) as writer:
        for rows in batches(source, keep, lambda row: _parsed(row, kind)):
            stop.check()
            texts = [_render(tokenizer, row, kind, assistant_only, last_only, special) for row in rows]
            examples = [
                _examples(prepared, row["line"], ids, trained, max_length, chunks)
                for row, (ids, trained) in zip(rows, tokenise(tokenizer, texts, kind), strict=True)
            ]
            _look(prepared, tokenizer, rows, [parts[0] if parts else None for parts in examples], kind)
            writer.write(_record_batch([part for parts in examples for part in parts]))
    return prepared


def _render(
    tokenizer: Any, row: dict[str, Any], kind: str, assistant_only: bool, last_only: bool, special: re.Pattern[str]
) -> Rendered:
    if kind == "text":
        text = row["text"] + (tokenizer.eos_token or "")
        return Rendered(text, [(0, len(text))])
    try:
        messages, tools = row["messages"], row.get("tools")
        return render(tokenizer, messages, tools, everything=not assistant_only, last_only=last_only, special=special)
    except TemplateError as error:
        raise bad_row(row["line"], f"the model's chat template refuses this conversation: {error}") from error


def tokenise(tokenizer: Any, texts: list[Rendered], kind: str) -> Iterator[tuple[list[int], list[bool]]]:
    """For each text its token ids and which of them are learned."""
    special = kind == "text"  # a chat template has written the special tokens itself
    if not tokenizer.is_fast:
        yield from (_tokenise_slowly(tokenizer, text, special) for text in texts)
        return
    encoded = tokenizer([text.text for text in texts], add_special_tokens=special, return_offsets_mapping=True)
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        yield ids, _learned(text, offsets)


def _learned(text: Rendered, offsets: list[tuple[int, int]]) -> list[bool]:
    """A token is learned when it begins inside a span: its first character is the model's own."""
    learned = [False] * len(offsets)
    spans = iter(text.spans)
    span = next(spans, None)
    for index, (start, end) in enumerate(offsets):
        while span and start >= span[1]:
            span = next(spans, None)
        learned[index] = span is not None and end > start >= span[0]
    return learned


def _tokenise_slowly(tokenizer: Any, text: Rendered, special: bool) -> tuple[list[int], list[bool]]:
    """For tokenizers that don't tell where a token lies in the text: count the tokens before and after each span."""

    def length(end: int) -> int:
        return len(tokenizer(text.text[:end], add_special_tokens=special)["input_ids"])

    ids = tokenizer(text.text, add_special_tokens=special)["input_ids"]
    learned = [False] * len(ids)
    for start, end in text.spans:
        for index in range(length(start), min(length(end), len(ids))):
            learned[index] = True
    return ids, learned


def _examples(
    prepared: Prepared, line: int, ids: list[int], learned: list[bool], max_length: int, chunks: bool
) -> list[dict[str, list[int]]]:
    labels = [token if wanted else IGNORED for token, wanted in zip(ids, learned, strict=True)]
    prepared.longest = max(prepared.longest, len(ids))
    if chunks and len(ids) > max_length:
        prepared.divided += 1
        parts = _divided(ids, labels, max_length)
    else:
        prepared.cut += len(ids) > max_length
        prepared.lost_answers += any(label != IGNORED for label in labels[max_length:])
        parts = [(ids[:max_length], labels[:max_length])]
    found = [example for part in parts if (example := _example(prepared, *part))]
    if not found:
        prepared.dropped.append(line)
    return found


def _divided(ids: list[int], labels: list[int], max_length: int) -> list[tuple[list[int], list[int]]]:
    """Pieces of at most `max_length`. Each begins with the last token of the one before, which it reads and does not learn:
    so every token but the text's first is predicted exactly once."""
    starts = range(0, max(1, len(ids) - 1), max_length - 1)
    pieces = [(ids[start : start + max_length], labels[start : start + max_length]) for start in starts]
    return [(piece, known if not index else [IGNORED, *known[1:]]) for index, (piece, known) in enumerate(pieces)]


def _example(prepared: Prepared, ids: list[int], labels: list[int]) -> dict[str, list[int]] | None:
    """One row for the trainer; None when it has nothing to learn. The first token is never predicted, so its label doesn't count."""
    trained = sum(label != IGNORED for label in labels[1:])
    if not trained:
        return None
    prepared.rows += 1
    prepared.tokens += len(ids)
    prepared.trained_tokens += trained
    return {"input_ids": ids, "labels": labels}


def _look(prepared: Prepared, tokenizer: Any, rows: list[dict[str, Any]], examples: list[Any], kind: str) -> None:
    """Decode what the first rows teach: keep one for the log and count those that don't contain their answer."""
    if prepared.example:
        return
    for row, example in list(zip(rows, examples, strict=True))[:CHECKED]:
        if example is None:
            continue
        taught = tokenizer.decode([label for label in example["labels"] if label != IGNORED])
        prepared.example = prepared.example or taught[:300]
        if kind == "sft" and not _same(row["messages"], taught, cut=len(example["input_ids"])):
            prepared.unlike += 1


def _same(messages: list[dict[str, Any]], taught: str, cut: int) -> bool:
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    last = answers[-1] if answers and isinstance(answers[-1], str) else ""
    beginning = "".join(last.split())[: max(1, cut)][:40]
    return beginning in "".join(taught.split())


def batches(source: Path, keep: Any, parse: Any) -> Iterator[list[dict[str, Any]]]:
    """The rows of a normalised file whose index `keep` accepts (all when None), each through `parse`, some at a time."""
    import pyarrow.parquet as parquet

    first = 0
    for batch in parquet.ParquetFile(source).iter_batches(batch_size=BATCH):
        rows = [row for index, row in enumerate(batch.to_pylist(), first) if keep is None or keep(index)]
        first += batch.num_rows
        yield [parse(row) for row in rows]


def _parsed(row: dict[str, Any], kind: str) -> dict[str, Any]:
    line = row.get("line") or 0
    if kind == "text":
        if not isinstance(row.get("text"), str):
            raise bad_row(line, "the text is missing.")
        return row
    try:
        messages = json.loads(row["messages"])
        tools = json.loads(row["tools"]) if row.get("tools") else None
    except (KeyError, TypeError, ValueError) as error:
        raise bad_row(line, f"messages is not a JSON list ({error}).") from error
    if not isinstance(messages, list) or not all(isinstance(item, dict) and "role" in item for item in messages):
        raise bad_row(line, "messages must be a list of {role, content}.")
    return {"line": line, "messages": messages, "tools": tools}


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema({"input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())})


def writer_of(target: Path, schema: Any) -> Any:
    """A writer of Arrow record batches into a fresh file."""
    import pyarrow as pa

    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # the file may be shared with the cache (datacache.py): never write into it
    return pa.ipc.new_stream(str(target), schema)


def _record_batch(examples: list[dict[str, list[int]]]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist(examples, schema=_schema())
