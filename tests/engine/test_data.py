"""From rows to tokens: the right tokens are learned, rows are cut and dropped honestly, bad ones named by line."""

from __future__ import annotations

import json

import pytest

from tests.engine.conftest import TEMPLATE, chat_rows, conversation, write_rows
from training.engine import chat
from training.engine.data import IGNORED, count_rows, held_out, prepare
from training.engine.failures import EngineError
from training.engine.rundir import RunDir
from training.engine.stopping import Cancelled, StopRequest

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


@pytest.fixture
def prepared(tmp_path, tokenizer):
    def make(rows, *, kind="sft", max_length=64, assistant_only=True, keep=None):
        return prepare(
            write_rows(tmp_path / "rows.parquet", rows), tmp_path / "tokens.arrow", tokenizer=tokenizer, kind=kind,
            max_length=max_length, assistant_only=assistant_only, stop=StopRequest(RunDir(tmp_path)), keep=keep,
        )  # fmt: skip

    return make


def taught(tokenizer, example) -> str:
    return tokenizer.decode([label for label in example["labels"] if label != IGNORED])


def test_the_answer_and_its_end_are_learned_and_nothing_else(prepared, tokenizer) -> None:
    result = prepared(chat_rows(3))
    examples = result.load()
    assert [taught(tokenizer, example) for example in examples] == [f"{conversation(i)[1]['content']}<|im_end|>" for i in range(3)]
    whole = tokenizer.apply_chat_template(conversation(0), tokenize=False)
    assert examples[0]["input_ids"] == tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert result.trained_tokens == sum(label != IGNORED for example in examples for label in example["labels"])
    assert result.unlike == 0 and "costs" in result.example


def test_a_slow_tokenizer_gives_the_same_labels(prepared, tokenizer, tmp_path) -> None:
    class Slow:
        """The same tokenizer without character offsets, as sentencepiece ones are."""

        is_fast = False

        def __getattr__(self, name):
            return getattr(tokenizer, name)

        def __call__(self, *args, **options):
            return tokenizer(*args, **options)

    fast = prepared(chat_rows(8)).load()["labels"]
    source = write_rows(tmp_path / "slow.parquet", chat_rows(8))
    slow = prepare(source, tmp_path / "slow.arrow", tokenizer=Slow(), kind="sft", max_length=64, assistant_only=True,
                   stop=StopRequest(RunDir(tmp_path)))  # fmt: skip
    assert list(slow.load()["labels"]) == list(fast)


def test_the_special_tokens_are_looked_up_once(prepared, tokenizer, monkeypatch) -> None:
    """Some tokenizers have thousands: for every row that would take longer than all the rest."""
    for_rows = chat.special_pattern(tokenizer)
    monkeypatch.setattr("training.engine.chat.special_pattern", lambda tokenizer: pytest.fail("asked for a row"))
    monkeypatch.setattr("training.engine.data.special_pattern", lambda tokenizer: for_rows)
    assert prepared(chat_rows(3)).rows == 3


def test_everything_is_learned_without_assistant_only(prepared) -> None:
    example = prepared(chat_rows(1), assistant_only=False).load()[0]
    assert example["labels"] == example["input_ids"]


def test_text_is_learned_whole_with_its_end(prepared, tokenizer) -> None:
    example = prepared([{"line": 1, "text": "The tea costs two coins."}], kind="text").load()[0]
    assert tokenizer.decode(example["labels"]) == "The tea costs two coins.<|im_end|>"


def test_a_long_row_is_cut_and_one_that_loses_its_answer_dropped(prepared) -> None:
    long = [{"role": "user", "content": "tea " * 60}, {"role": "assistant", "content": "Yes."}]
    cut = [{"role": "user", "content": "tea"}, {"role": "assistant", "content": "bread " * 60}]
    rows = [{"line": 5 + index, "messages": json.dumps(talk)} for index, talk in enumerate((long, cut, conversation(0)))]
    result = prepared(rows)
    assert (result.rows, result.cut, result.dropped) == (2, 2, [5])
    assert max(len(ids) for ids in result.load()["input_ids"]) == 64


@pytest.mark.parametrize(
    ("row", "words"),
    [({"line": 7, "messages": "{"}, "Line 7"), ({"line": 9, "messages": '["hello"]'}, "Line 9")],
)
def test_a_bad_row_is_named_by_its_line(prepared, row, words) -> None:
    with pytest.raises(EngineError, match=words):
        prepared([row])


def test_a_conversation_the_template_refuses_is_named_by_its_line(prepared, tokenizer) -> None:
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    try:
        with pytest.raises(EngineError, match=r"Line 1: .*no system role"):
            prepared(chat_rows(1))
    finally:
        tokenizer.chat_template = TEMPLATE


def test_it_stops_when_asked(prepared, tmp_path) -> None:
    (tmp_path / "cancel").touch()
    with pytest.raises(Cancelled):
        prepared(chat_rows(2))


def test_the_same_rows_are_held_out_every_time() -> None:
    assert held_out(100, 0.1, 42) == held_out(100, 0.1, 42) != held_out(100, 0.1, 43)
    # Fixed for good: another choice would let a resumed run learn from its evaluation rows.
    assert sorted(held_out(20, 0.15, 1)) == [8, 14, 15]


@pytest.mark.parametrize(
    ("rows", "fraction", "count"), [(1, 0.1, 0), (2, 0.01, 1), (2, 0.5, 1), (3, 0.5, 2), (100, 0.0, 0), (50, 0.1, 5)]
)
def test_each_side_keeps_at_least_one_row(rows, fraction, count) -> None:
    assert len(held_out(rows, fraction, 1)) == count


def test_a_file_that_is_no_dataset_is_refused(tmp_path) -> None:
    (tmp_path / "x.parquet").write_text("hello")
    for path in (tmp_path / "x.parquet", tmp_path / "missing.parquet"):
        with pytest.raises(EngineError, match="can't be read"):
            count_rows(path)
