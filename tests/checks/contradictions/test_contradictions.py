from dataclasses import replace
from itertools import combinations

import pytest

from preftune.checks.contradictions.contradictions import Contradictions
from preftune.records import Group, Message, Rating, Relation, Response, Severity
from tests.checks.planting import real_rows
from tests.checks.repeating import RATES, circle, planted, swapped, turned, without_repeats
from tests.checks.repeats.test_exact import conclusion, pair


def found_in(rows):
    found = conclusion(rows, Contradictions())
    return {one.code: one for one in found.findings}, found.drops


def clean(shared):
    return without_repeats(real_rows(shared, "hh"))


@pytest.mark.parametrize("rate", RATES)
def test_planted_contradictions_are_found_and_nothing_else(shared, rate):
    def against(row, draw):
        return [swapped(turned(row)) if draw.random() < 0.5 else turned(row)]

    data = planted(clean(shared), rate, against, first_too=True)
    found, drops = found_in(data.rows)
    assert drops == dict.fromkeys(data.bad, "PC300")
    assert found["PC300"].count * 2 == len(data.bad)
    assert set(found) == {"PC300"}


@pytest.mark.parametrize("rate", RATES)
def test_planted_cycles_are_found_and_nothing_else(shared, rate):
    data = planted(clean(shared), rate, circle, first_too=True)
    found, drops = found_in(data.rows)
    assert drops == dict.fromkeys(data.bad, "PC301")
    assert found["PC301"].count == len(data.bad)
    assert set(found) == {"PC301"}


def test_clean_data_has_neither(shared):
    for name in ("hh", "chat", "polite", "ultrafeedback", "oasst"):
        assert not found_in(real_rows(shared, name))[0]


def test_the_minority_is_left_out_and_all_where_there_is_none():
    one, other = pair("p", "a", "b", source="f:1"), pair("p", "b", "a", source="f:2")
    assert set(found_in([one, other])[1]) == {0, 1}
    found, drops = found_in([one, other, one])  # a copy is no second vote
    assert set(drops) == {0, 1, 2}
    assert found["PC300"].examples[0].note == "the other way round in f:2"
    assert found["PC300"].severity is Severity.error


def test_named_annotators_disagree_and_do_not_contradict():
    rows = [pair("p", "a", "b", "Ann"), pair("p", "b", "a", "Bob"), pair("p", "a", "b", "Cy")]
    assert not found_in(rows)[0]
    found, drops = found_in(rows[:2])
    assert (found["PC300"].severity, found["PC300"].count, drops) == (Severity.info, 1, {})
    assert "evenly divided over 1 pair" in found["PC300"].sentence
    again = pair("p", "b", "a", "Ann")  # who said the opposite before
    assert set(found_in([*rows, again])[1]) == {0, 1, 2, 3}


def test_a_circle_is_spelt_out_with_its_places():
    sides = [("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")]
    rows = [pair("p", *ends, source=f"f:{line}") for line, ends in enumerate(sides, 1)]
    found, drops = found_in(rows)
    note = found["PC301"].examples[0].note
    assert note == "A over B (f:1), B over C (f:2), C over A (f:3)"
    assert set(drops) == {0, 1, 2}
    assert "1 prompt run" in found["PC301"].sentence
    assert not found_in([pair(str(line), *ends) for line, ends in enumerate(sides)])[0]


def test_a_majority_breaks_the_circle():
    rows = [
        pair("p", "a", "b"),
        pair("p", "b", "c"),
        pair("p", "c", "a", "Ann"),
        pair("p", "a", "c", "Ann"),
        pair("p", "a", "c", "Bob"),
    ]
    found, drops = found_in(rows)
    assert set(found) == {"PC300"}
    assert set(drops) == {2}


def ranked(texts, relations=()):
    sides = tuple(
        Response((Message("assistant", text),), None if relations else Rating(rank=rank))
        for rank, text in enumerate(texts)
    )
    return Group((Message("user", "p"),), sides, tuple(Relation(*one) for one in relations), "f:1")


def test_circles_within_a_row():
    found, drops = found_in([ranked("abc", [(0, 1), (1, 2), (2, 0)])])
    assert found["PC301"].count == 3
    assert drops == {0: "PC301"}


def test_a_ranking_that_differs_in_one_pair_is_kept():
    found, drops = found_in([ranked("abcd"), ranked("abdc")])
    assert found["PC300"].count == 1
    assert drops == {}


def test_of_long_rankings_the_same_pairs_are_compared():
    texts = [str(number) for number in range(40)]
    found, drops = found_in([ranked(texts), ranked(texts[::-1])])
    assert found["PC300"].share == 1
    assert set(drops) == {0, 1}


def test_ties_and_single_responses_are_no_judgements_of_this_kind():
    tie = pair("p", "a", "b")
    tie = replace(tie, relations=(Relation(0, 1, tie=True),))
    assert not found_in([tie, ranked("a"), Group((), ())])[0]
    assert not found_in([ranked("ab"), tie])[0]


def test_every_pair_of_a_cyclic_tournament_lies_on_a_circle():
    texts = "abcdefg"
    ends = [
        (one, other) if (texts.index(other) - texts.index(one)) % 2 else (other, one)
        for one, other in combinations(texts, 2)
    ]
    found, drops = found_in([pair("p", *sides) for sides in ends])
    assert found["PC301"].count == 21
    assert len(drops) == 21
