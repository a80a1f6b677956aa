"""Curves as TensorBoard reads them: `tensorboard --logdir RUNS` on a run directory, and a file made of recorded points.

An event file is a row of records, each framed by its length and two checksums (TFRecord), each a protocol buffer `Event`:
https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto. The four fields that a curve needs
are written here; the packages that write them bring torch or more into every process that does.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = "tensorboard"
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types
MASK = 0xA282EAD8
LARGEST = (2 - 2**-23) * 2.0**127  # of float32


def _table() -> list[int]:
    """CRC-32C (Castagnoli), byte by byte."""
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ 0x82F63B78 if number & 1 else number >> 1
        table.append(number)
    return table


TABLE = _table()


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def file_of(points: Iterable[tuple[float, int, Mapping[str, float]]]) -> Iterator[bytes]:
    """A whole event file of (seconds since 1970, step, {tag: value})."""
    yield record(_field(1, DOUBLE, time.time()) + _field(3, BYTES, b"brain.Event:2"))
    for at, step, values in points:
        yield record(event(at, step, values))


def event(at: float, step: int, values: Mapping[str, float]) -> bytes:
    """The values of one step."""
    told = (_field(1, BYTES, tag.encode()) + _field(2, FLOAT, _single(value)) for tag, value in values.items())
    summary = b"".join(_field(1, BYTES, value) for value in told)
    return _field(1, DOUBLE, at) + _field(2, VARINT, step) + _field(5, BYTES, summary)


def record(data: bytes) -> bytes:
    """Length, its checksum, the data, its checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def name_of_file(at: float, who: str) -> str:
    return f"events.out.tfevents.{int(at)}.{who}"


def tagged(split: str, values: Mapping[str, Any]) -> dict[str, float]:
    """{"train/loss": …, "eval/loss": …} of an event's values, as transformers names them; what is no number is left out."""
    return {
        f"{split}/{name.removeprefix(f'{split}_')}": float(value)
        for name, value in values.items()
        if isinstance(value, (int, float))
    }


class Curves:
    """Writes metric events into a folder of a run directory as they come. The file is made with the first, by the process that has it.

    A run never fails for want of it: what can't be written is left out, and events.jsonl holds it all.
    """

    def __init__(self, run_dir: Path):
        self.folder = run_dir / FOLDER
        self._descriptor: int | None = None

    def take(self, values: Mapping[str, Any]) -> None:
        """A metric event: {step, split, values}."""
        if told := tagged(str(values.get("split")), values.get("values") or {}):
            with contextlib.suppress(OSError, ValueError):
                os.write(self._open(), record(event(time.time(), int(values.get("step") or 0), told)))

    def _open(self) -> int:
        if self._descriptor is None:
            self.folder.mkdir(exist_ok=True)
            name = name_of_file(time.time(), f"aifinetune.{os.getpid()}")
            self._descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(self._descriptor, next(file_of(())))
        return self._descriptor


def _single(value: float) -> float:
    """As float32 has it: what is larger than it can say is infinite."""
    return value if abs(value) <= LARGEST or math.isnan(value) else math.copysign(math.inf, value)


def _masked(data: bytes) -> int:
    value = crc32c(data)
    return ((value >> 15 | value << 17) + MASK) & 0xFFFFFFFF


def _field(number: int, kind: int, value: Any) -> bytes:
    key = _varint(number << 3 | kind)
    if kind == VARINT:
        return key + _varint(value)
    if kind == BYTES:
        return key + _varint(len(value)) + value
    return key + struct.pack("<d" if kind == DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
