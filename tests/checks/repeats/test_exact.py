from dataclasses import replace

import pytest

from preftune.checks.cases import CaseMaker
from preftune.checks.repeats.exact import Repeats
from preftune.records import Group, Message, Rating, Relation, Response, Severity
from tests.checks.planting import real_rows
from tests.checks.repeating import RATES, planted, swapped, without_repeats


def conclusion(rows, check=None):
    check, maker = check or Repeats(), CaseMaker()
    for row in rows:
        check.see(maker.case(row))
    return check.conclude(maker.account)


def pair(prompt, chosen, rejected, annotator="", source="f:1"):
    sides = [Response((Message("assistant", text),)) for text in (chosen, rejected)]
    relation = Relation(0, 1, annotator=annotator)
    return Group((Message("user", prompt),), tuple(sides), (relation,), source)


def answer(text, rating=None):
    return Group((Message("user", "p"),), (Response((Message("assistant", text),), rating),))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", ["hh", "thumbs"])
def test_planted_repeats_are_found_and_nothing_else(shared, name, rate):
    def again(row, draw):
        return [swapped(row) if row.relations and draw.random() < 0.5 else row]

    rows = without_repeats(real_rows(shared, name))
    data = planted(rows, rate, again, first_too=False)
    found = conclusion(data.rows)
    assert found.drops == dict.fromkeys(data.bad, "PC200")
    assert found.findings[0].count == len(data.bad)
    assert not conclusion(rows).findings


def test_severity_follows_the_share():
    def severity(repeats):
        rows = [pair(str(number), "a", "b") for number in range(100 - repeats)]
        return conclusion([*rows, *[rows[0]] * repeats]).findings[0].severity

    assert severity(2) is Severity.warning
    assert severity(30) is Severity.error


def test_an_example_names_both_places():
    rows = [pair("p", "a", "b", source=f"f:{line}") for line in (1, 2)]
    found = conclusion(rows).findings[0]
    assert [(one.row, one.note) for one in found.examples] == [(1, "the same as f:1")]
    assert found.sentence.startswith("1 row (50 %) repeats an earlier one word for word")


def test_the_opposite_and_another_annotator_are_no_repeats():
    assert not conclusion([pair("p", "a", "b"), pair("p", "b", "a")]).findings
    assert not conclusion([pair("p", "a", "b", "Ann"), pair("p", "a", "b", "Bob")]).findings
    assert conclusion([pair("p", "a", "b", "Ann"), pair("p", "a", "b", "Ann")]).drops == {
        1: "PC200"
    }


def test_thumbs_scores_and_plain_answers_repeat_with_their_label():
    up, down, good, better = Rating(good=True), Rating(good=False), Rating(score=1), Rating(score=2)
    rows = [answer("a", label) for label in (up, down, up, None, None, good, better)]
    assert set(conclusion(rows).drops) == {2, 4}


def test_rankings_repeat_whatever_the_order_of_their_responses():
    def ranked(*ranks):
        sides = [
            Response((Message("assistant", text),), Rating(rank=rank))
            for text, rank in zip("abc", ranks, strict=True)
        ]
        return Group((Message("user", "p"),), tuple(sides))

    one = ranked(0, 1, 2)
    other_order = replace(one, responses=one.responses[::-1])
    assert set(conclusion([one, other_order, ranked(0, 2, 1)]).drops) == {1}
    tie = Group(one.prompt, one.responses[:2], (Relation(0, 1, tie=True),))
    assert set(conclusion([tie, replace(tie, relations=(Relation(1, 0, tie=True),))]).drops) == {1}


def test_nothing_and_rows_without_responses_are_no_repeats():
    assert not conclusion([]).findings
    assert not conclusion([Group((Message("user", ""),), ())]).findings
