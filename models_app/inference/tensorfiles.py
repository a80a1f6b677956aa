"""A model's safetensors files read and written one tensor at a time, so that memory holds a tensor and not the model.

The format: 8 bytes of length (little-endian), a JSON header {name: {dtype, shape, data_offsets}}, then the tensors' bytes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDEX = "model.safetensors.index.json"
# torch's name for each number format that weights have.
TORCH = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
         "I8": "int8", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}  # fmt: skip
NAMES = {torch: name for name, torch in TORCH.items()}
WIDTHS = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}
FLOATS = ("F64", "F32", "F16", "BF16")
BLOCK_BYTES = 32 * 1024**2


class BadWeights(Exception):
    """The files are not what they should be; the text says which and why."""


@dataclass(frozen=True)
class Tensor:
    """Where one tensor lies: `begin` is the offset of its first byte in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    begin: int
    bytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def weight_files(directory: Path) -> list[Path]:
    """The model's files, in order. BadWeights when there are none, or not all of them."""
    index, single = directory / INDEX, directory / "model.safetensors"
    if index.exists():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    else:
        names = [single.name] if single.exists() else []
    files = [directory / name for name in names]
    if not files or not all(file.exists() for file in files):
        raise BadWeights(f"{directory.name} has no complete safetensors weights")
    return files


def tensors_in(file: Path) -> list[Tensor]:
    """What a file holds, in the order of its bytes."""
    with open(file, "rb") as stream:
        try:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        except (struct.error, ValueError):
            raise BadWeights(f"{file.name} is not a safetensors file") from None
    found = []
    for name, facts in header.items():
        if name != "__metadata__":
            first, last = facts["data_offsets"]
            found.append(Tensor(name, facts["dtype"], tuple(facts["shape"]), file, 8 + length + first, last - first))
    return sorted(found, key=lambda tensor: tensor.begin)


def all_tensors(directory: Path) -> dict[str, Tensor]:
    """Every tensor of the model by name."""
    return {tensor.name: tensor for file in weight_files(directory) for tensor in tensors_in(file)}


def read(tensor: Tensor) -> Any:
    """The whole tensor as torch's."""
    return next(blocks(tensor, block_bytes=max(tensor.bytes, 1))) if tensor.bytes else _shaped(tensor, None, tensor.shape)


def blocks(tensor: Tensor, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Any]:
    """The tensor's rows, about `block_bytes` at a time, as torch tensors [rows, …]. Each is good until the next: they share memory."""
    import torch

    rows = tensor.shape[0] if tensor.shape else 1
    row_bytes = tensor.bytes // rows if rows else 0
    step = max(1, block_bytes // row_bytes) if row_bytes else rows
    buffer = torch.empty(min(step, rows) * row_bytes, dtype=torch.uint8)
    with open(tensor.file, "rb", buffering=0) as stream:
        stream.seek(tensor.begin)
        for first in range(0, rows, step):
            count = min(step, rows - first)
            shape = (count, *tensor.shape[1:]) if tensor.shape else ()
            _fill(buffer[: count * row_bytes], stream, tensor)
            yield _shaped(tensor, buffer[: count * row_bytes], shape)


def _fill(buffer: Any, stream: Any, tensor: Tensor) -> None:
    view, there = memoryview(buffer.numpy()), 0
    while there < len(view):
        if not (more := stream.readinto(view[there:])):
            raise BadWeights(f"{tensor.file.name} ends in the middle of {tensor.name}")
        there += more


def _shaped(tensor: Tensor, buffer: Any, shape: tuple[int, ...]) -> Any:
    import torch

    dtype = getattr(torch, TORCH[tensor.dtype])
    return torch.empty(shape, dtype=dtype) if buffer is None else buffer.view(dtype).reshape(shape)


def write(file: Path, planned: list[tuple[str, str, tuple[int, ...]]], parts: Iterable[Iterable[Any]]) -> None:
    """One safetensors file: the header of what is `planned` (name, dtype, shape), then each tensor's parts as they come."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset, sizes = 0, []
    for name, dtype, shape in planned:
        sizes.append(math.prod(shape) * WIDTHS[dtype])
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + sizes[-1]]}
        offset += sizes[-1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(file, "wb", buffering=0) as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for (name, _, _), size, pieces in zip(planned, sizes, parts, strict=True):
            if sum(put(stream, piece) for piece in pieces) != size:
                raise BadWeights(f"{name} has another size than planned")


def put(stream: Any, tensor: Any) -> int:
    """A tensor's bytes to an unbuffered stream; gives their number."""
    import torch

    view = memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else memoryview(b"")
    there = 0
    while there < len(view):
        there += stream.write(view[there:])
    return there


OnBytes = Callable[[int, int], None]  # done, total
