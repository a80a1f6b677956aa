"""Mappings: read strictly, suggested never silently."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.formats.mapping import MappingError, read_mapping, suggest


@pytest.mark.parametrize("given", [None, "", {}, "{}"])
def test_nothing_is_an_empty_mapping(given: Any) -> None:
    assert read_mapping(given) == {}


def test_it_is_read_from_text_or_an_object() -> None:
    wanted = {"prompt": "question", "completion": "answer"}
    assert read_mapping(wanted) == wanted
    assert read_mapping('{"prompt": "question", "completion": "answer"}') == wanted


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "not valid JSON"),
        ("[1]", "A mapping is an object"),
        ("3", "A mapping is an object"),
        ([1], "A mapping is an object"),
        ('{"prompt": "a", "prompt": "b"}', "“prompt” is mapped twice"),
        ({"promt": "a"}, "“promt” is not a field"),
        ({"prompt": ""}, "must name a column"),
        ({"prompt": 3}, "must name a column"),
        ({"prompt": "a", "completion": "a"}, "mapped to two fields"),
        ({"text": "a", "completion": "b"}, "do not belong to one format"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_nonsense_is_refused(given: Any, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        read_mapping(given)


def test_usual_names_give_a_suggestion() -> None:
    assert suggest(["id", "Question", "answer"]) == {"prompt": "Question", "completion": "answer"}
    assert suggest(["question", "foo"]) == {}
    assert suggest(["prompt", "completion"]) == {}
