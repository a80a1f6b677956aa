"""Events survive torn lines and never hold what JSON can't."""

from __future__ import annotations

import math

from training.engine.events import EventLog
from training.engine.rundir import read_events


def test_events_come_back_in_order_with_their_offsets(tmp_path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for step in range(3):
        log.emit("metric", step=step)
    read = list(read_events(tmp_path / "events.jsonl"))
    assert [event["step"] for event, _ in read] == [0, 1, 2]
    assert [event["step"] for event, _ in read_events(tmp_path / "events.jsonl", read[0][1])] == [1, 2]


def test_numbers_json_lacks_become_null(tmp_path) -> None:
    EventLog(tmp_path / "e").emit("metric", values={"loss": math.nan, "grads": [math.inf, 1.5]})
    assert next(read_events(tmp_path / "e"))[0]["values"] == {"loss": None, "grads": [None, 1.5]}


def test_a_line_being_written_is_left_for_later(tmp_path) -> None:
    path = tmp_path / "e"
    EventLog(path).emit("log", text="whole")
    size = path.stat().st_size
    with open(path, "a") as file:
        file.write('{"kind": "lo')
    assert [offset for _, offset in read_events(path)] == [size]


def test_half_a_line_of_a_killed_engine_is_skipped_by_the_next(tmp_path) -> None:
    path = tmp_path / "e"
    EventLog(path).emit("log", text="before")
    with open(path, "a") as file:
        file.write('{"kind": "lo')
    EventLog(path).emit("log", text="after")
    read = list(read_events(path))
    assert [event["text"] for event, _ in read] == ["before", "after"] and read[-1][1] == path.stat().st_size


def test_a_missing_file_has_no_events(tmp_path) -> None:
    assert list(read_events(tmp_path / "none")) == []
