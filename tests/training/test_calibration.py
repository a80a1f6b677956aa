"""Corrections learned from finished runs: the device's two speeds are found again, noise and disturbed runs notwithstanding."""

from __future__ import annotations

import random

import pytest

from training.calibration import Count, Pace, Timing, pace_of, token_ratio

# What was foreseen for six runs: seconds of computing and of layers, for batches of one row to many.
FORESEEN = [(0.2, 0.3), (0.9, 0.3), (0.5, 0.3), (2.1, 0.3), (4.2, 0.6), (3.1, 0.4)]


def runs(pace: Pace, noise: float = 0.0) -> list[Timing]:
    rng = random.Random(1)
    seconds = [pace.computing * computing + pace.layers * layers for computing, layers in FORESEEN]
    made = []
    for (computing, layers), took in zip(FORESEEN, seconds, strict=True):
        took *= 1 + rng.uniform(-noise, noise)
        made.append(Timing(computing, layers, took + pace.warm_up, 24, 1, took / 24 + pace.warm_up))
    return made


@pytest.mark.parametrize("pace", [Pace(0.7, 2.8, 0.2), Pace(1.5, 1.5, 0.0), Pace(3.0, 0.75, 1.0)])
def test_it_finds_both_costs_and_the_first_step(pace: Pace) -> None:
    found = pace_of(runs(pace), similar=False)
    assert (found.computing, found.layers, found.warm_up) == pytest.approx((pace.computing, pace.layers, pace.warm_up), abs=1e-6)


@pytest.mark.parametrize("left_out", range(len(FORESEEN)))
def test_a_run_left_out_is_foreseen_by_the_others(left_out: int) -> None:
    made = runs(Pace(0.7, 2.8, 0.2), noise=0.1)
    gone = made.pop(left_out)
    made.append(Timing(1.0, 0.3, 9.0, 24))  # another program was at work
    assert pace_of(made, similar=False).seconds(gone.computing, gone.layers) == pytest.approx(gone.seconds, rel=0.25)


@pytest.mark.parametrize("similar", [True, False])
def test_one_run_and_similar_ones_correct_both_costs_alike(similar: bool) -> None:
    assert pace_of([Timing(2.0, 1.0, 6.0, 10)], similar=similar) == Pace(2.0, 2.0, 0.0)
    found = pace_of(runs(Pace(0.7, 2.8)), similar=similar)
    assert (found.computing == found.layers) == similar


def test_few_rows_say_little_about_tokens_and_a_whole_pass_everything() -> None:
    few = token_ratio([Count(true=1200, estimated=600, seen=6, rows=400)])
    assert 1.1 < few < 1.3
    assert token_ratio([Count(true=120_000, estimated=100_000, seen=1000, rows=2000)]) == pytest.approx(1.2, abs=0.01)
    assert token_ratio([Count(true=1200, estimated=600, seen=6, rows=6)]) == 2.0
