"""A Job's metrics as device samples, and that nothing they do harms a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from finetune.core.errors import Unavailable
from tests.loopback_jobs import METRICS
from training.executors import jobmetrics
from training.executors.jobmetrics import MetricsReader, devices_of

pytestmark = pytest.mark.quick


def read(*streams: Any, monkeypatch: pytest.MonkeyPatch) -> MetricsReader:
    """A reader that was asked to sync once for each of these streams, one after the other."""
    monkeypatch.setattr(jobmetrics, "AGAIN_SECONDS", -1.0)
    opened = iter(streams)
    reader = MetricsReader("a10g-small", lambda: next(opened))
    for _ in streams:
        reader.sync()
        assert reader._thread
        reader._thread.join(10)
        assert not reader._thread.is_alive()
    return reader


def broken(error: Exception) -> Iterator[dict[str, Any]]:
    yield METRICS
    raise error


def test_each_gpu_is_a_device_and_the_processor_is_one_where_there_is_none() -> None:
    gpus = {
        "b": {"utilization": 250, "memory_total_bytes": 2},
        "a": {"utilization": 50, "memory_used_bytes": 1, "memory_total_bytes": 2},
    }
    first, second = devices_of({"gpus": gpus}, "2 × L4")
    assert (first["id"], first["utilisation"], first["memory_used_bytes"], first["memory_bytes"]) == ("cuda:0", 0.5, 1, 2)
    assert (second["id"], second["utilisation"], second["memory_used_bytes"]) == ("cuda:1", 1.0, None)
    (processor,) = devices_of({**METRICS, "gpus": {}}, "cpu-basic")
    assert (processor["id"], processor["name"], processor["utilisation"]) == ("cpu", "cpu-basic", 0.37)


def test_a_sample_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = read([METRICS, METRICS], monkeypatch=monkeypatch)
    assert [device["name"] for device in reader.take()] == ["a10g-small"]
    assert reader.take() == []


def test_an_old_sample_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = read([METRICS], monkeypatch=monkeypatch)
    monkeypatch.setattr(jobmetrics, "FRESH_SECONDS", 0.0)
    assert reader.take() == []


@pytest.mark.parametrize("error", [Unavailable("The Hub has a problem."), KeyError("stage")])
def test_a_stream_that_breaks_off_is_opened_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = read(broken(error), [{"gpus": "torn"}, {"gpus": {"a": None}}], [METRICS], monkeypatch=monkeypatch)
    assert reader.take()


def test_what_is_not_as_documented_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read([{"gpus": "torn"}, {"gpus": {"a": None}}, {"cpu_usage_pct": "?"}], monkeypatch=monkeypatch).take() == []
