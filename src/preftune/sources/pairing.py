"""Ratings and rankings to pairs: one group at a time, and no judgement that they do not hold."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from preftune.records import Group, Message, Rating, Relation
from preftune.sources.rows import RowError

ALL_EQUAL = "all responses rated equal"
SMALL_GAP = "gap below the minimum"
UNSCORED = "no scores to measure a gap"
TOO_FEW = "fewer than two rated responses"
_ROUNDING = 1e-9
"""4.3 - 4.2 is a little less than 0.1, and counts as a gap of 0.1."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one conversion is to be done, and what it counts on the way."""

    minimum_gap: float = 0.0
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True, slots=True)
class _Ratings:
    """What the responses of a group are compared by, higher is better."""

    values: dict[int, float]
    """Index of each rated response to its score, or to its rank below zero."""
    scored: bool

    def gap(self, winner: int, loser: int) -> float:
        return self.values[winner] - self.values[loser]

    def relation(self, winner: int, loser: int, weight: float = 1.0) -> Relation:
        margin = self.gap(winner, loser) if self.scored else None
        return Relation(winner, loser, margin=margin, weight=weight)


def best_versus_worst(group: Group, terms: Terms) -> Group:
    """The best and the worst response; among equals the lot decides, by content.

    Raises:
        RowError: the group makes no pair.
    """
    ratings = _ratings(group, terms)
    best, worst = _ends(ratings)
    if ratings.gap(best[0], worst[0]) < terms.minimum_gap - _ROUNDING:
        raise RowError(SMALL_GAP, f"the largest is {ratings.gap(best[0], worst[0]):g}")
    terms.counts["drawn"] += len(best) > 1 or len(worst) > 1
    pair = (_drawn(group, best, terms.seed), _drawn(group, worst, terms.seed))
    return _only(group, (ratings.relation(*pair),), terms)


def best_versus_random(group: Group, terms: Terms) -> Group:
    """The best response and one of the worse ones, drawn by content, whatever the order.

    Raises:
        RowError: the group makes no pair.
    """
    ratings = _ratings(group, terms)
    best, _ = _ends(ratings)
    winner = _drawn(group, best, terms.seed)
    worse = [index for index in ratings.values if _apart(ratings.gap(winner, index), terms)]
    if not worse:
        raise RowError(SMALL_GAP, "no response is far enough below the best")
    terms.counts["drawn"] += len(best) > 1
    return _only(group, (ratings.relation(winner, _drawn(group, worse, terms.seed)),), terms)


def all_pairs(group: Group, terms: Terms) -> Group:
    """Every two responses with a gap, weighing as much as one pair together.

    Raises:
        RowError: the group makes no pair.
    """
    ratings = _ratings(group, terms)
    found: list[tuple[int, int]] = []
    for one, other in combinations(ratings.values, 2):
        pair = (one, other) if ratings.gap(one, other) > 0 else (other, one)
        gap = ratings.gap(*pair)
        terms.counts["ties"] += gap == 0
        terms.counts["small"] += gap > 0 and not _apart(gap, terms)
        if _apart(gap, terms):
            found.append(pair)
    if not found:
        _ends(ratings)
        raise RowError(SMALL_GAP, "no two responses are far enough apart")
    weight = 1 / len(found)
    return _only(group, tuple(ratings.relation(*pair, weight) for pair in found), terms)


def _ratings(group: Group, terms: Terms) -> _Ratings:
    known = [response.rating or Rating() for response in group.responses]
    scored = any(rating.score is not None for rating in known)
    values = {
        index: value
        for index, rating in enumerate(known)
        if (value := rating.score if scored else _height(rating.rank)) is not None
    }
    if len(values) < 2:
        raise RowError(TOO_FEW, f"{len(values)} of {len(known)}")
    if terms.minimum_gap and not scored:
        raise RowError(UNSCORED, "its responses have ranks")
    return _Ratings(values, scored)


def _height(rank: int | None) -> float | None:
    return None if rank is None else float(-rank)


def _ends(ratings: _Ratings) -> tuple[list[int], list[int]]:
    """The best responses and the worst."""
    top, bottom = max(ratings.values.values()), min(ratings.values.values())
    if top == bottom:
        what = "scores" if ratings.scored else "ranks"
        raise RowError(ALL_EQUAL, f"{len(ratings.values)} equal {what}")
    best = [index for index, value in ratings.values.items() if value == top]
    return best, [index for index, value in ratings.values.items() if value == bottom]


def _apart(gap: float, terms: Terms) -> bool:
    return gap > 0 and gap >= terms.minimum_gap - _ROUNDING


def _drawn(group: Group, among: Sequence[int], seed: int) -> int:
    """One of the responses, by lot: the order of rows and responses plays no part in it."""
    if len(among) == 1:
        return among[0]
    prompt = _spelled(group.prompt)
    salt = seed.to_bytes(8, "little")

    def lot(index: int) -> bytes:
        text = f"{prompt}\n{_spelled(group.responses[index].turns)}"
        return hashlib.blake2b(text.encode(errors="surrogatepass"), salt=salt).digest()

    return min(among, key=lot)


def _spelled(turns: Sequence[Message]) -> str:
    return json.dumps([[turn.role, turn.content] for turn in turns])


def _only(group: Group, relations: Sequence[Relation], terms: Terms) -> Group:
    """The group with these relations, without the responses that stand in none."""
    kept = sorted({side for one in relations for side in (one.winner, one.loser)})
    place = {index: number for number, index in enumerate(kept)}
    terms.counts["pairs"] += len(relations)
    terms.counts["left"] += len(group.responses) - len(kept)
    return replace(
        group,
        responses=tuple(group.responses[index] for index in kept),
        relations=tuple(
            replace(one, winner=place[one.winner], loser=place[one.loser]) for one in relations
        ),
    )
