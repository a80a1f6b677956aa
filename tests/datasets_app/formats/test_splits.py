"""What holds for every division of every set of rows."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from datasets_app.formats.minhash import Sketches
from datasets_app.formats.splits import UNUSED, SplitError, Wish, divide, prompt_text, write_splits

PROMPTS = st.lists(st.integers(0, 12), min_size=2, max_size=40)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_file(folder: Path, prompts: list[int]) -> Path:
    turns = [
        [{"role": "user", "content": f"Q{prompt}"}, {"role": "assistant", "content": f"A{row}"}]
        for row, prompt in enumerate(prompts)
    ]
    extra = [json.dumps({"topic": prompt % 3}) for prompt in prompts]
    table = pa.table({"line": range(1, len(prompts) + 1), "messages": [json.dumps(turn) for turn in turns], "extra": extra})
    pq.write_table(table, folder / "rows.parquet", row_group_size=7)
    return folder / "rows.parquet"


@QUICK
@given(
    prompts=PROMPTS, parts=st.tuples(st.floats(0.2, 0.8), st.floats(0.0, 0.4)), seed=st.integers(0, 2**31), shuffle=st.booleans()
)
def test_rows_are_in_one_split_and_groups_in_one(
    tmp_path: Path, prompts: list[int], parts: tuple[float, float], seed: int, shuffle: bool
) -> None:
    file = rows_file(tmp_path, prompts)
    wish = Wish(train=round(1 - parts[0] / 2 - parts[1] / 2, 3), validation=round(parts[0] / 2, 3), seed=seed, shuffle=shuffle)
    try:
        division = divide(file, wish)
    except SplitError:
        assume(False)
    assert len(division.codes) == len(prompts)
    assert sum(division.counts.values()) == len(prompts)
    assert {"train", "validation"} <= set(division.counts)
    places = defaultdict(set)
    for row, prompt in enumerate(prompts):
        places[prompt if division.grouped == "prompt" else row].add(division.of(row))
    assert all(len(found) == 1 for found in places.values())
    again = divide(file, wish)
    assert again.codes == division.codes


@QUICK
@given(prompts=PROMPTS, seed=st.integers(0, 9))
def test_the_files_hold_every_row_once_in_order(tmp_path: Path, prompts: list[int], seed: int) -> None:
    file = rows_file(tmp_path, prompts)
    try:
        division = divide(file, Wish(train=0.5, validation=0.25, test=0.25, seed=seed, stratify_by="topic"))
    except SplitError:
        assume(False)
    folder = tmp_path / f"splits-{seed}"
    write_splits(file, folder, division)
    lines = [pq.read_table(folder / f"{name}.parquet").column("line").to_pylist() for name in division.counts if name != UNUSED]
    assert sorted(line for part in lines for line in part) == list(range(1, len(prompts) + 1))
    assert all(part == sorted(part) for part in lines)


@given(rows=st.integers(3, 500), fractions=st.tuples(st.floats(0.01, 0.3), st.floats(0.01, 0.3)))
def test_fractions_of_one_use_every_row(rows: int, fractions: tuple[float, float]) -> None:
    targets = Wish(train=1 - sum(fractions), validation=fractions[0], test=fractions[1]).targets(rows)
    assert sum(targets.values()) == rows
    assert all(targets.values())


def test_a_prompt_is_the_same_whatever_its_case_and_blanks() -> None:
    one = {
        "messages": [
            {"role": "system", "content": "x"},
            {"role": "user", "content": " How\n much? "},
            {"role": "assistant", "content": "2"},
        ]
    }
    two = {"messages": [{"role": "user", "content": "how much?"}, {"role": "assistant", "content": "3"}]}
    assert prompt_text(one) == prompt_text(two)


@settings(max_examples=30, deadline=None)
@given(words=st.lists(st.text("abcdefgh", min_size=3, max_size=7), min_size=60, max_size=80, unique=True), at=st.integers(0, 50))
def test_a_text_with_one_word_changed_is_nearly_the_same_and_another_is_not(words: list[str], at: int) -> None:
    sketches = Sketches(10)
    sketches.add(" ".join(words))
    sketches.add(" ".join(reversed(words)))
    sketches.add(" ".join([*words[:at], *words[at:], "end"]))
    assert [(later, earlier) for later, earlier, _ in sketches.pairs()] == [(2, 0)]


def test_more_texts_than_there_is_room_for_are_not_compared() -> None:
    sketches = Sketches(2)
    assert [sketches.add("a b c d e f g h i j") for _ in range(3)] == [True, True, False]
    assert sketches.full
