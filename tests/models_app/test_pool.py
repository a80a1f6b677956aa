"""Warm models: who shares memory, who leaves it, whose turn it is."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from models_app.inference import pool as pool_module
from models_app.inference.generate import generate
from models_app.inference.loading import needed_bytes
from models_app.inference.pool import ModelPool
from models_app.inference.turns import Turns
from models_app.inference.types import Answer, CannotGenerate, Sampling, Weights
from tests.models_app.conftest import make_adapter

pytestmark = pytest.mark.engine
HELLO = [{"role": "user", "content": "Say hello"}]


@pytest.fixture
def bases(tiny_dir: Path, tmp_path: Path) -> list[Weights]:
    return [Weights(base=str(shutil.copytree(tiny_dir, tmp_path / name))) for name in ("a", "b", "c")]


def load(pool: ModelPool, weights: Weights) -> Any:
    with pool.using(weights) as session:
        return session.model


def answer(pool: ModelPool, weights: Weights, sampling: Sampling, said: list[str] | None = None) -> Answer:
    on_text = said.append if said is not None else lambda text: None
    return generate(pool, weights, HELLO, sampling, on_text=on_text, should_stop=lambda: False)


def test_the_need_is_what_the_weights_and_a_long_answer_take(tiny_dir: Path) -> None:
    held = ModelPool()
    load(held, Weights(base=str(tiny_dir)))
    cache = 2 * 2 * 48 * 256 * 4  # keys and values of two layers, 48 wide, 256 tokens, float32
    assert held.held("cpu") < needed_bytes(str(tiny_dir), "cpu") - cache < 1.2 * held.held("cpu")


def test_the_oldest_leaves_when_memory_is_wanted(bases: list[Weights]) -> None:
    each = needed_bytes(bases[0].base, "cpu")
    pool = ModelPool(lambda device, held: int(2.2 * each))
    first, second = load(pool, bases[0]), load(pool, bases[1])
    assert load(pool, bases[0]) is first  # and is now the newest
    load(pool, bases[2])
    assert load(pool, bases[0]) is first
    assert load(pool, bases[1]) is not second


def test_no_room_is_said_in_words(bases: list[Weights]) -> None:
    pool = ModelPool(lambda device, held: 1000)
    with pytest.raises(CannotGenerate, match=r"no room for this model now.*training runs were promised"):
        load(pool, bases[0])


def test_a_training_run_gets_its_memory_back(bases: list[Weights]) -> None:
    room: list[int | None] = [None]
    pool = ModelPool(lambda device, held: room[0])
    for weights in bases:
        load(pool, weights)
    room[0] = pool.held() - 1
    pool.tidy()
    assert 0 < pool.held() <= room[0]
    room[0] = 0
    pool.tidy()
    assert pool.held() == 0


def test_the_idle_leave_and_the_busy_stay(bases: list[Weights]) -> None:
    pool = ModelPool(idle_seconds=0)
    load(pool, bases[1])
    with pool.using(bases[0]) as session:
        tidying = threading.Thread(target=pool.tidy)
        tidying.start()
        while not pool.turns.is_wanted:
            pass
        session.pass_on()
        assert len(pool._loaded) == 1
    tidying.join(5)
    pool.tidy()
    assert pool.held() == 0


def test_memory_that_runs_out_in_spite_of_it_is_freed(bases: list[Weights], monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ModelPool()
    load(pool, bases[0])
    real, tries = pool_module.load_base, []

    def tight(directory: str, device: str) -> Any:
        tries.append(len(pool._loaded))
        if pool._loaded:
            raise RuntimeError("CUDA out of memory")
        return real(directory, device)

    monkeypatch.setattr(pool_module, "load_base", tight)
    load(pool, bases[1])
    assert tries == [1, 0]


def test_many_answer_at_once_as_they_would_alone(tiny_dir: Path, adapter_dir: Path, tmp_path: Path) -> None:
    """Base and two adapters share one model in memory and are switched token by token; seeds stay their own."""
    second = make_adapter(tiny_dir, tmp_path / "second", seed=2)
    plain = Weights(base=str(tiny_dir))
    every = [plain, *(Weights(base=str(tiny_dir), adapter=str(path)) for path in (adapter_dir, second))]
    asked = [(weights, Sampling(max_new_tokens=16, temperature=heat, seed=3)) for weights in every for heat in (0, 1.0)]
    pool = ModelPool()
    alone = [answer(pool, *each).text for each in asked]
    with ThreadPoolExecutor(len(asked)) as threads:
        together = [found.text for found in threads.map(lambda each: answer(pool, *each), asked)]
    assert together == alone
    assert len(set(alone[::2])) == 3  # the greedy ones: each of its own weights
    assert len(pool._loaded) == 1


def test_a_model_in_use_is_waited_for(bases: list[Weights]) -> None:
    each = needed_bytes(bases[0].base, "cpu")
    pool = ModelPool(lambda device, held: int(1.2 * each))
    greedy = Sampling(max_new_tokens=20, temperature=0)
    with ThreadPoolExecutor(3) as threads:
        texts = [found.text for found in threads.map(lambda weights: answer(pool, weights, greedy), bases)]
    assert len(set(texts)) == 1


def test_a_stop_text_ends_the_answer(tiny_dir: Path) -> None:
    pool, weights = ModelPool(), Weights(base=str(tiny_dir))
    whole = answer(pool, weights, Sampling(max_new_tokens=30, temperature=0)).text
    stop = whole[5:8]
    said: list[str] = []
    found = answer(pool, weights, Sampling(max_new_tokens=30, temperature=0, stop=[stop]), said)
    assert found.text == "".join(said) == whole[: whole.index(stop)]
    assert found.stop_reason == "stop"
    assert found.first_token_seconds is not None
    assert 0 < found.first_token_seconds <= found.seconds


def test_turns_are_taken_in_order() -> None:
    turns, told = Turns(), []
    ready = threading.Barrier(3)

    def speak(name: str) -> None:
        ready.wait()
        with turns.taking_part():
            while len(turns._line) < 3 and not told:
                pass
            for _ in range(3):
                told.append(name)
                turns.pass_on()

    threads = [threading.Thread(target=speak, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert told == list("".join(told[:3]) * 3)
