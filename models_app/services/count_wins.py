"""How often which model was preferred to which."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import Any

from accounts.models import User
from models_app.models import Comparison
from models_app.services.vote_comparison import NONE, TIE


def count_wins(*, owner: User) -> dict[str, list[dict[str, Any]]]:
    """{pairs, families}: each [{a, b, wins_a, wins_b, ties, votes, rate_a}], the most voted first. Of a vote among several the best one
    won against each other; the others say nothing about each other, and one that could not answer nothing at all. A tie counts half for
    both in the rate; "none" counts as a tie.
    """
    votes = Comparison.objects.for_user(owner).exclude(vote="").values_list("sides", "vote")
    pairs: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    families: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for sides, vote in votes:
        for one, two in combinations((side for side in sides if not side.get("failed")), 2):
            if vote in (TIE, NONE, one["side"], two["side"]):
                _count(pairs, one["name"], two["name"], vote, one["side"], two["side"])
                _count(families, one["family"], two["family"], vote, one["side"], two["side"])
    return {"pairs": _rows(pairs), "families": _rows(families)}


def _count(table: dict[tuple[str, str], list[int]], one: str, two: str, vote: str, side: str, other: str) -> None:
    """[wins of the first by name, wins of the second, ties]; two of one name say nothing."""
    if one == two:
        return
    if one > two:
        one, two, side, other = two, one, other, side
    table[(one, two)][0 if vote == side else 1 if vote == other else 2] += 1


def _rows(table: dict[tuple[str, str], list[int]]) -> list[dict[str, Any]]:
    rows = []
    for (a, b), (wins_a, wins_b, ties) in table.items():
        votes = wins_a + wins_b + ties
        rate = (wins_a + ties / 2) / votes
        rows.append({"a": a, "b": b, "wins_a": wins_a, "wins_b": wins_b, "ties": ties, "votes": votes, "rate_a": rate})
    return sorted(rows, key=lambda row: (-row["votes"], row["a"], row["b"]))
