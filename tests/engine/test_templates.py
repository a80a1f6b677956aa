"""Our chat templates: every layout renders, marks exactly the answers, and ends a turn with a token the model knows."""

from __future__ import annotations

import copy
import json
import shutil

import pytest

from tests.engine.conftest import conversation, events
from training.engine.chat import render, turn_end
from training.engine.options import CHAT_TEMPLATES
from training.engine.run import run
from training.engine.templates import LAYOUTS, lacks_template, written

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
TALK = [{"role": "system", "content": "Be brief."}, *conversation(1), *conversation(2)]


@pytest.fixture
def bare(tmp_path, tiny_model):
    """The tiny model without its chat template."""
    path = tmp_path / "bare"
    shutil.copytree(tiny_model, path)
    (path / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((path / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return path


def test_the_options_choices_are_the_layouts() -> None:
    assert set(CHAT_TEMPLATES) == {"model", *LAYOUTS}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_marks_exactly_the_answers(tokenizer, name) -> None:
    own = copy.deepcopy(tokenizer)
    own.chat_template = written(name, own)
    rendered = render(own, TALK)
    taught = [rendered.text[start:end] for start, end in rendered.spans]
    answers = [message["content"] for message in TALK if message["role"] == "assistant"]
    assert [text.strip() for text in taught] == [f"{answer}<|im_end|>" for answer in answers]
    assert "Be brief." in rendered.text and all(message["content"] in rendered.text for message in TALK)
    assert turn_end(own) == "<|im_end|>"
    last = render(own, TALK, last_only=True)
    assert [last.text[start:end].strip() for start, end in last.spans] == [f"{answers[-1]}<|im_end|>"]


def test_the_end_is_the_layouts_own_where_the_vocabulary_has_it() -> None:
    class Tokenizer:
        eos_token = "</s>"

        def __init__(self, *words):
            self.words = words

        def get_vocab(self):
            return dict.fromkeys(self.words, 1)

    assert "<|eot_id|>" in written("llama3", Tokenizer("<|eot_id|>"))
    assert "<|eot_id|>" not in written("llama3", Tokenizer()) and "</s>" in written("llama3", Tokenizer())


def test_it_sees_in_the_files_whether_a_model_brings_one(tiny_model, bare) -> None:
    assert not lacks_template(tiny_model) and lacks_template(bare)
    for name, text in (("chat_template.jinja", "x"), ("chat_template.json", '{"chat_template": "x"}')):
        (bare / name).write_text(text)
        assert not lacks_template(bare)
        (bare / name).unlink()
    (bare / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    assert not lacks_template(bare)


def test_a_model_without_one_is_refused_until_one_is_chosen(make_run, bare) -> None:
    from transformers import AutoTokenizer

    refused = make_run("sft", model=bare)
    assert run(refused.path) == 2
    assert events(refused, "failed")[0]["message"].startswith("chat_template: This model brings no chat template")
    chosen = make_run("sft", model=bare, chat_template="zephyr", max_steps=1)
    assert run(chosen.path) == 0
    assert "<|assistant|>" in AutoTokenizer.from_pretrained(chosen.output).chat_template


def test_plain_text_needs_none(make_run, bare, tmp_path) -> None:
    from tests.engine.conftest import write_rows

    rows = write_rows(tmp_path / "t.parquet", [{"line": i + 1, "text": conversation(i)[1]["content"]} for i in range(8)])
    run_dir = make_run("sft", model=bare, rows=rows, kind="text", max_steps=1)
    assert run(run_dir.path) == 0
