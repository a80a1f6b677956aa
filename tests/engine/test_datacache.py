"""The same rows, tokenizer and options are prepared once; anything else is prepared again; a broken entry is not used."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest

from tests.engine.conftest import chat_rows, write_rows
from training.engine import datacache
from training.engine.rundir import RunDir
from training.engine.stopping import StopRequest

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(datacache.VARIABLE, str(folder))
    return folder / "prepared"


@pytest.fixture
def prepare(tmp_path, rows_file, tokenizer):
    def make(name="one", *, source=rows_file, max_length=64, **changes):
        options = {"kind": "sft", "assistant_only": True, "part": "train all", "tokenizer": tokenizer} | changes
        stop = StopRequest(RunDir(tmp_path))
        return datacache.prepare_once(source, tmp_path / name / "train.arrow", max_length=max_length, stop=stop, **options)

    return make


def test_the_second_run_shares_the_firsts_tokens(cache, prepare) -> None:
    first, second = prepare("one"), prepare("two")
    assert first.path.stat().st_ino == second.path.stat().st_ino
    assert second.load().to_dict() == first.load().to_dict()
    assert (second.rows, second.tokens, second.trained_tokens, second.example) == (
        first.rows,
        first.tokens,
        first.trained_tokens,
        first.example,
    )
    assert len(list(cache.iterdir())) == 2


def test_other_rows_options_or_parts_are_prepared_anew(cache, prepare, tmp_path) -> None:
    prepare("one")
    prepare("two", max_length=32)
    prepare("three", assistant_only=False)
    prepare("four", part="train 0.1:42", keep=lambda index: index > 3)
    prepare("five", source=write_rows(tmp_path / "other.parquet", chat_rows(20)))
    assert len(list(cache.glob("*.arrow"))) == 5


def test_another_chat_template_is_prepared_anew(cache, prepare, tokenizer, monkeypatch) -> None:
    first = prepare("one")
    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template.replace("'\\n' +", "'\\n\\n' +"))
    assert prepare("two").tokens != first.tokens


def test_preparing_again_in_a_run_leaves_the_cached_file_alone(cache, prepare, monkeypatch) -> None:
    first = prepare("one")
    content = first.path.read_bytes()
    monkeypatch.delenv(datacache.VARIABLE)
    prepare("one", max_length=16)
    (cached,) = cache.glob("*.arrow")
    assert cached.read_bytes() == content


def test_a_torn_entry_is_made_again(cache, prepare) -> None:
    first = prepare("one")
    (cached,) = cache.glob("*.arrow")
    whole = shutil.copy(cached, cached.with_suffix(".whole"))
    cached.unlink()
    cached.write_bytes(b"half")
    second = prepare("two")
    assert second.path.read_bytes() == whole.read_bytes() and second.rows == first.rows
    assert json.loads(cached.with_suffix(".json").read_text())["bytes"] == cached.stat().st_size


def test_what_nothing_used_for_a_month_goes(cache, prepare) -> None:
    prepare("one")
    (counts,) = cache.glob("*.json")
    long_ago = time.time() - datacache.KEEP_SECONDS - 60
    os.utime(counts, (long_ago, long_ago))
    prepare("two", max_length=32)
    assert not counts.exists() and not counts.with_suffix(".arrow").exists()


def test_without_a_cache_directory_nothing_is_kept(prepare, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv(datacache.VARIABLE, raising=False)
    assert prepare("one").path.stat().st_nlink == 1


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(prepare, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(datacache.VARIABLE, str(tmp_path / "file"))
    assert prepare("one").rows == 48
