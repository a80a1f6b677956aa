"""Where tokens begin, added up from their bytes: the same places that the tokenizers library tells."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors

from training.engine.tokenplaces import Placer, Summed, Told, byte_lengths

TEXTS = [
    "",
    "Two coins.",
    "<|im_start|>user\nWhat does tea cost?<|im_end|>\n<|im_start|>assistant\n\n  Two  coins.<|im_end|>\n",
    "Käse 🧀🧀 und 谢谢 — è: e\u0301\n",
    "\u00a0\t x\r\n\r\n<|im_end|>🪙",
]


@pytest.fixture
def other(tokenizer: Any) -> Callable[..., Any]:
    """The tokenizer with another part of the backend."""

    def make(**parts: Any) -> Any:
        made = copy.deepcopy(tokenizer)
        for name, part in parts.items():
            setattr(made.backend_tokenizer, name, part)
        return made

    return make


def agree(tokenizer: Any, texts: list[str]) -> list[Any]:
    """Every place of every text is the library's; what says so."""
    found = Placer(tokenizer)(texts)
    for text, places in zip(texts, found, strict=True):
        told = Told(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False))
        assert places.tokens == told.tokens
        assert [places.first_at(char) for char in range(len(text) + 1)] == [told.first_at(char) for char in range(len(text) + 1)]
    return found


def test_bytes_say_what_the_library_says(tokenizer: Any) -> None:
    assert all(isinstance(places, Summed) for places in agree(tokenizer, TEXTS))
    assert Placer(tokenizer)([]) == []


def test_a_text_that_a_normalizer_changes_is_asked_for(other: Callable[..., Any]) -> None:
    kinds = [type(places) for places in agree(other(normalizer=normalizers.NFC()), TEXTS)]
    assert kinds == [Summed, Summed, Summed, Told, Summed]


def test_a_token_that_takes_blanks_along_is_asked_for(other: Callable[..., Any]) -> None:
    made = other()
    made.add_tokens([AddedToken("<|pause|>", lstrip=True, special=True)])
    kinds = [type(places) for places in agree(made, ["Wait  <|pause|> here", "Wait<|pause|> here"])]
    assert kinds == [Told, Summed]


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": normalizers.Lowercase()},
        {"pre_tokenizer": pre_tokenizers.Metaspace()},
        {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True)},
        {"post_processor": processors.ByteLevel(trim_offsets=True)},
        {"post_processor": processors.Sequence([processors.ByteLevel(trim_offsets=True)])},
    ],
    ids=["lower case", "no bytes", "a blank before", "trimmed", "trimmed in a sequence"],
)
def test_other_tokenizers_are_asked(other: Callable[..., Any], parts: dict[str, Any]) -> None:
    made = other(**parts)
    assert byte_lengths(made) is None
    assert all(isinstance(places, Told) for places in agree(made, TEXTS))


def test_a_splitting_sequence_is_added_up(other: Callable[..., Any]) -> None:
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert all(isinstance(places, Summed) for places in agree(other(pre_tokenizer=split), [*TEXTS, "1234 and 5"]))


def test_a_part_written_in_python_is_unknown(tokenizer: Any) -> None:
    class Own:
        def pre_tokenize(self, text: Any) -> None:
            pass

    made = copy.deepcopy(tokenizer)
    inner = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    inner.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(Own())
    made._tokenizer = inner
    assert byte_lengths(made) is None
