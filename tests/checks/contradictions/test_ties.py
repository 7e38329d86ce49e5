from dataclasses import replace

import pytest

from preftune.checks.contradictions.ties import Ties, ties_of
from preftune.records import Group, Message, Rating, Relation, Response, Severity
from tests.checks.planting import real_rows
from tests.checks.repeating import RATES, planted
from tests.checks.repeats.test_exact import conclusion, pair


def tied(row, draw=None):
    return replace(row, relations=(Relation(0, 1, tie=True),))


@pytest.mark.parametrize("rate", RATES)
def test_planted_ties_are_counted(shared, rate):
    data = planted(real_rows(shared, "hh"), rate, lambda row, _: [tied(row)], first_too=False)
    found = conclusion(data.rows, Ties()).findings[0]
    assert (found.count, found.total) == (len(data.bad), len(data.rows))
    assert found.severity is Severity.info
    assert {one.row for one in found.examples} == set(sorted(data.bad)[:3])


def test_more_ties_than_preferences_are_a_warning():
    rows = [pair(str(number), "a", "b") for number in range(100)]
    mixed = [tied(row) if number % 3 else row for number, row in enumerate(rows)]
    assert conclusion(mixed, Ties()).findings[0].severity is Severity.warning
    assert not conclusion(rows, Ties()).findings


def test_equal_ranks_and_scores_tie_where_nothing_was_judged():
    def rated(*ratings, relations=()):
        sides = [Response((Message("assistant", str(n)),), one) for n, one in enumerate(ratings)]
        return Group((Message("user", "p"),), tuple(sides), relations)

    assert ties_of(rated(*(Rating(score=score) for score in (3.0, 3.0, 3.0, 4.0)))) == 3
    assert ties_of(rated(Rating(rank=0, score=1), Rating(rank=1, score=1))) == 0
    equal = (Rating(score=1), Rating(score=1))
    assert ties_of(rated(*equal, relations=(Relation(0, 1),))) == 0
    assert ties_of(rated(Rating(good=True))) == ties_of(rated(None)) == ties_of(Group((), ())) == 0
