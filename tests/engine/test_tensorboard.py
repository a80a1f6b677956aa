"""Event files, read back with protocol buffers of their own description, and with TensorBoard where it is installed."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from training.engine import tensorboard
from training.engine.events import EventLog
from training.engine.tensorboard import Curves, crc32c, event

FIELDS = {  # of event.proto and summary.proto: message → [(name, number, type or message, repeated)]
    "Value": [("tag", 1, "TYPE_STRING", False), ("simple_value", 2, "TYPE_FLOAT", False)],
    "Summary": [("value", 1, ".t.Value", True)],
    "Event": [
        ("wall_time", 1, "TYPE_DOUBLE", False), ("step", 2, "TYPE_INT64", False),
        ("file_version", 3, "TYPE_STRING", False), ("summary", 5, ".t.Summary", False),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def event_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            made = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind.startswith("."):
                made.type, made.type_name = 11, kind
            else:
                made.type = getattr(descriptor_pb2.FieldDescriptorProto, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))


def records(data: bytes) -> Iterator[bytes]:
    while data:
        (length,), (check,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        assert check == tensorboard._masked(data[:8])
        content, (check,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        assert check == tensorboard._masked(content)
        yield content
        data = data[16 + length :]


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283 and crc32c(b"") == 0 and crc32c(b"\0" * 32) == 0x8A9136AA


def test_what_a_run_writes_can_be_read_back(tmp_path: Path, event_class: Any) -> None:
    log = EventLog(tmp_path / "events.jsonl", Curves(tmp_path))
    log.emit("phase", phase="training")
    assert not (tmp_path / "tensorboard").exists()
    log.emit("metric", step=5, epoch=0.1, split="train", values={"loss": 1.5, "grad_norm": float("nan"), "lr": None})
    log.emit("metric", step=300, epoch=0.2, split="eval", values={"eval_loss": 0.25, "num_tokens": 7})
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert file.name.startswith("events.out.tfevents.")
    first, *events = [event_class.FromString(content) for content in records(file.read_bytes())]
    assert first.file_version == "brain.Event:2" and first.wall_time > 1e9
    told = [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in events]
    assert told == [(5, {"train/loss": 1.5}), (300, {"eval/loss": 0.25, "eval/num_tokens": 7.0})]


def test_tensorboard_itself_reads_it(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="pip install tensorboard")
    (tmp_path / "events.out.tfevents.1.x").write_bytes(b"".join(tensorboard.file_of([(1.0, 1, {"a": 0.5}), (2.0, 9, {"a": 0.25})])))
    found = reader.EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in found.Scalars("a")] == [(1, 0.5), (9, 0.25)]


def test_a_folder_that_can_not_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    log = EventLog(tmp_path / "events.jsonl", Curves(tmp_path))
    log.emit("metric", step=1, split="train", values={"loss": 1.0})
    assert (tmp_path / "events.jsonl").read_text().count("\n") == 1


def test_what_float32_can_not_say_is_infinite(event_class: Any) -> None:
    made = event_class.FromString(event(0.0, 1, {"large": 1e39, "small": -1e39, "fits": 3.4e38}))
    assert [round(value.simple_value / 1e38, 1) for value in made.summary.value] == [math.inf, -math.inf, 3.4]
