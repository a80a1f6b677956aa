"""Pieces of text: thoughts apart from answers, and the end at a stop text, wherever the pieces are cut."""

from __future__ import annotations

import pytest

from models_app.inference.writer import THOUGHTS, Splitter


def split(text: str, size: int, stop: tuple[str, ...] = (), *, thinking: str = "") -> tuple[list[str], list[str], bool]:
    said: list[str] = []
    thought: list[str] = []
    splitter = Splitter(list(stop), said.append, thought.append, thinking=thinking)
    for at in range(0, len(text), size):
        splitter.feed(text[at : at + size])
    splitter.end()
    assert "".join(said) == splitter.text
    assert "".join(thought) == splitter.thinking
    return said, thought, splitter.stopped


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_what_it_thinks_is_apart_from_what_it_says(size: int) -> None:
    said, thought, _ = split("<think>\nTwo and two.\n</think>\n\nFour. <think> is a tag.", size)
    assert "".join(thought) == "Two and two.\n"
    assert "".join(said) == "Four. <think> is a tag."


@pytest.mark.parametrize(("begin", "end"), THOUGHTS.items())
def test_every_mark_ends_with_its_own(begin: str, end: str) -> None:
    for size in (1, 3, 100):
        said, thought, _ = split(f"{begin}a </ b {begin} c{end}Four.", size)
        assert ("".join(thought), "".join(said)) == (f"a </ b {begin} c", "Four.")


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_template_may_have_begun_the_thought(size: int) -> None:
    said, thought, _ = split("Hm.</think>Yes.", size, thinking="<think>")
    assert ("".join(thought), "".join(said)) == ("Hm.", "Yes.")


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_it_ends_before_the_first_stop_text(size: int) -> None:
    said, _, stopped = split("One. Two.\nUser: three User: four", size, ("###", "\nUser:"))
    assert "".join(said) == "One. Two."
    assert stopped


def test_a_thought_is_not_ended_by_a_stop_text() -> None:
    said, thought, stopped = split("<think>a stop b</think>c", 1, ("stop",))
    assert ("".join(thought), "".join(said), stopped) == ("a stop b", "c", False)


def test_what_only_begins_like_a_mark_is_given_out_at_the_end() -> None:
    said, _, stopped = split("a ##", 1, ("###",))
    assert "".join(said) == "a ##"
    assert not stopped


def test_text_is_given_out_as_soon_as_it_can_be_no_mark() -> None:
    said: list[str] = []
    splitter = Splitter(["###"], said.append, lambda text: None)
    splitter.feed("hello")
    assert said == ["hello"]
    splitter.feed("#")
    assert said == ["hello"]
    splitter.feed("x")
    assert said == ["hello", "#x"]
