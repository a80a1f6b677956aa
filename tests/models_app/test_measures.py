"""The numbers of an evaluation, against values worked out by hand."""

from __future__ import annotations

import math
import random

import pytest

from models_app.inference.checks import BadCheck, compiled, misfit, validator
from models_app.inference.measures import common_length, exact_match, rouge_l, score_of, summary, token_f1


def test_exact_match_looks_at_words() -> None:
    assert exact_match("The Answer: 42.", "the answer 42")
    assert not exact_match("42", "the answer 42")
    assert exact_match("!?", " !? ")
    assert not exact_match("!?", "?!")


def test_token_f1_counts_repeated_words() -> None:
    assert token_f1("a b b", "b c") == pytest.approx(2 * 1 / 5)
    assert token_f1("one two", "two one") == 1
    assert token_f1("", "word") == 0
    assert token_f1("東京", "東") == pytest.approx(2 / 3)


def test_rouge_l_wants_the_order() -> None:
    # Lin 2004: "police killed the gunman" and "police kill the gunman" share police, the, gunman.
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(3 / 4)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(2 / 4)


def test_the_common_length_is_that_of_the_table() -> None:
    draw = random.Random(1)
    for _ in range(50):
        ours, theirs = ([draw.choice("abcd") for _ in range(draw.randrange(0, 90))] for _ in "12")
        table = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
        for i, a in enumerate(ours):
            for j, b in enumerate(theirs):
                table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
        assert common_length(ours, theirs) == table[-1][-1]


def sample(**values: object) -> dict:
    names = ("nll", "exact", "f1", "rouge_l", "pattern_ok", "schema_ok", "prefers")
    return {**dict.fromkeys(names), "tokens": 0, **values}


def test_the_summary_weighs_the_loss_by_tokens() -> None:
    rows = [
        sample(nll=2.0, tokens=4, f1=1.0, rouge_l=1.0, exact=True, pattern_ok=True),
        sample(nll=1.0, tokens=1, f1=0.5, rouge_l=0.25, exact=False, pattern_ok=False),
        sample(),
    ]
    found = summary(rows)
    assert found["loss"] == pytest.approx(3 / 5)
    assert found["perplexity"] == pytest.approx(math.exp(3 / 5))
    assert (found["rows"], found["answered"], found["tokens"]) == (3, 2, 5)
    assert (found["token_f1"], found["rouge_l"], found["exact_match"], found["pattern_share"]) == (0.75, 0.625, 0.5, 0.5)
    assert "schema_share" not in found


def test_a_failed_check_is_worse_than_a_bad_answer() -> None:
    wrong, unformed = sample(f1=0.0, rouge_l=0.0), sample(f1=0.9, rouge_l=0.9, schema_ok=False)
    assert score_of(unformed) < score_of(wrong) < score_of(sample(f1=0.1, rouge_l=0.1))
    assert score_of(sample(nll=4.0, tokens=2)) == -2
    assert score_of(sample()) < score_of(unformed)


@pytest.mark.parametrize("pattern", ["[", r"(a)\1", "(?=a)", "(a{1000}){1000}", "a" * 1001])
def test_an_expression_that_cannot_be_used_says_why(pattern: str) -> None:
    with pytest.raises(BadCheck, match=r"RE2|characters"):
        compiled(pattern)


def test_no_expression_runs_away() -> None:
    assert compiled("(a|a)*b").search("a" * 100_000) is None
    assert compiled(r"\d+").search("room 12") is not None


SCHEMA = '{"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}'


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"name": "ada"}', ""),
        ('```json\n{"name": "ada"}\n```', ""),
        ('{"name": "Ada"}', "does not match"),
        ('{"name": 1}', "['name']: 1 is not of type 'string'"),
        ("{}", "'name' is a required property"),
        ("Her name is Ada.", "not JSON"),
        ("[" * 100_000, ""),
    ],
)
def test_an_answer_is_held_against_the_schema(answer: str, words: str) -> None:
    found = misfit(validator(SCHEMA), answer)
    assert words in found
    assert bool(found) == (not answer.strip("`json\n").startswith('{"name": "ada"'))


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[]",
        '{"type": "thing"}',
        '{"pattern": "(?=a)"}',
        '{"patternProperties": {"a": {}}}',
        '{"$ref": "http://127.0.0.1:1/schema"}',
        '{"$ref": "#/nowhere"}',
        '{"$ref": "#"}',
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: str) -> None:
    with pytest.raises(BadCheck):
        validator(schema)
