"""The demo's own parts; that the whole of it works is shown by running it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console
from websockets.sync.server import Server, ServerConnection, serve

from finetune.demo import __main__ as demo
from finetune.demo.errors import DemoFailed
from finetune.demo.follow import Follower
from finetune.demo.screen import Progress, Screen
from finetune.demo.stack import Stack

LOSSES = [3.0, 2.5, 2.0, 1.5]


def metric(seq: int) -> dict:
    return {"seq": seq, "kind": "metric", "split": "train", "step": seq, "values": {"loss": LOSSES[seq - 1]}}


class Feed:
    """A job's socket that sends two events and hangs up, so that the rest must be asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.repeats = False

    def __call__(self, socket: ServerConnection) -> None:
        after = int(parse_qs(urlsplit(socket.request.path).query)["after"][0])
        self.asked.append((after, socket.request.headers["Sec-WebSocket-Protocol"]))
        ended = after + 2 >= len(LOSSES)
        status = {
            "status": "succeeded" if ended else "running",
            "last_seq": len(LOSSES),
            "progress": {"step": after, "total_steps": 4},
        }
        first = 1 if self.repeats else after + 1
        events = [metric(seq) for seq in range(first, first + 2)]
        socket.send(json.dumps({"type": "hello", "job": status, "last_seq": len(LOSSES)}))
        socket.send(json.dumps({"type": "events", "events": events, "last_seq": events[-1]["seq"]}))
        socket.send(json.dumps({"type": "something new"}))
        if ended:
            socket.recv()


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def follower(feed: Feed) -> Iterator[Follower]:
    server: Server = serve(feed, "127.0.0.1", 0, subprotocols=["bearer"])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = SimpleNamespace(url=f"http://127.0.0.1:{server.socket.getsockname()[1]}", token="abc")
    yield Follower(client, 7, Progress(Console(quiet=True)))
    server.shutdown()
    thread.join()


def test_a_dropped_socket_loses_and_repeats_nothing(follower, feed):
    status = follower.run()

    assert status["status"] == "succeeded"
    assert [event["seq"] for event in follower.events] == [1, 2, 3, 4]
    assert feed.asked == [(0, "bearer, abc"), (2, "bearer, abc")]


def test_a_server_that_repeats_itself_is_a_failure(follower, feed):
    feed.repeats = True
    with pytest.raises(DemoFailed, match="twice"):
        follower.run()


def test_progress_is_readable_without_a_terminal(capsys):
    progress = Progress(Console(width=80))
    progress.show(
        {"status": "running", "phase": "training", "progress": {"step": 3, "total_steps": 9, "eta_seconds": 4.2}}, [metric(3)]
    )

    assert capsys.readouterr().out.split() == ["training", "step", "3/9", "loss", "2.0000", "ETA", "4", "s"]


@pytest.mark.parametrize(("values", "fell"), [([2.0, 1.0], True), ([1.0, 2.0], False), ([1.0, 1.0], False)])
def test_only_a_falling_evaluation_loss_is_a_success(values, fell):
    events = [metric(1)] + [{"kind": "metric", "split": "eval", "values": {"eval_loss": value}} for value in values]
    assert demo._report(Screen(), events) is fell


def test_one_evaluation_proves_nothing():
    events = [metric(1), {"kind": "metric", "split": "eval", "values": {"eval_loss": 1.0}}]
    with pytest.raises(DemoFailed, match="two are needed"):
        demo._report(Screen(), events)


def test_the_question_is_everything_before_the_first_answer():
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "Bye")]
    row = {"line": 1, "messages": [{"role": role, "content": text} for role, text in turns]}
    assert [message["content"] for message in demo._question(row)] == ["Be brief.", "Hi"]
    assert demo._question({"line": 1, "text": "Once upon"}) == [{"role": "user", "content": "Once upon"}]


def test_logs_are_shown_with_their_names(tmp_path: Path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/web.log").write_text("\n".join(f"line {number}" for number in range(40)))
    (tmp_path / "logs/beat.log").write_text("")

    shown = Stack("http://x", tmp_path).log_tails(lines=2)

    assert shown.splitlines() == ["--- logs/web.log", "line 38", "line 39"]
