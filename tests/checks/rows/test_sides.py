import numpy as np
import pytest

from preftune.checks.cases import Account, cases
from preftune.checks.examine import gather, run_checks
from preftune.checks.rows.endings import Ending, ending
from preftune.checks.rows.marks import closing_mark
from preftune.checks.rows.sides import Sides, broken_off, stopped
from preftune.checks.rows.texts import is_refusal
from preftune.records import Group, Message, Rating, Relation, Response, Severity, Silent
from tests.checks.planting import balanced, plant, real_rows


def pair(prompt, chosen, rejected):
    sides = [Response((Message("assistant", text),)) for text in (chosen, rejected)]
    return Group((Message("user", prompt),), tuple(sides), (Relation(0, 1),))


def findings(rows):
    done = gather(lambda: rows, run_checks(lambda: rows, [Sides()], Silent()))
    return {one.code: one for one in done.findings}


def stopping(rows):
    """Rows with a response that stops in the middle, as the check judges."""
    check = Sides()
    owners = []
    for case in cases(rows):
        check.see(case)
        owners += [case.index] * len(case.responses)
    return {owners[place] for place in np.flatnonzero(check.stopping())}


SLOW = [pytest.param(names, marks=pytest.mark.slow) for names in (("hh",), ("chat", "polite"))]


@pytest.mark.parametrize("names", [("polite",), *SLOW])
def test_planted_cuts_are_found_and_nothing_else(shared, names):
    rows = real_rows(shared, *names)
    real = stopping(rows)
    for rate, seeds in ((0.001, 5), (0.01, 1), (0.05, 1), (0.2, 1)):
        hits = planted_rows = found_rows = 0
        for seed in range(seeds):
            faulty, planted = plant(rows, "PC107", rate, seed)
            found = stopping(faulty) - (real - set(planted))
            hits += len(found & set(planted))
            planted_rows += len(planted)
            found_rows += len(found)
        assert hits >= 0.95 * planted_rows - (planted_rows < 20), (names, rate)
        assert hits >= 0.9 * found_rows, (names, rate)


@pytest.mark.parametrize(("name", "every"), [("chat", 2), ("ultrafeedback", 5)])
def test_a_style_without_full_stops_is_no_fault(shared, name, every):
    rows = [
        pair(str(case.index), *(text.rstrip(" .") for text in case.responses[:2]))
        if case.index % every == 0
        else pair(str(case.index), *case.responses[:2])
        for case in cases(real_rows(shared, name))
    ]
    usual = stopping(real_rows(shared, name))
    assert len(stopping(rows)) <= len(usual) + 0.01 * len(rows)


def test_where_almost_all_end_properly_an_open_end_is_a_cut():
    closed, opened, cut = int(Ending.closed), int(Ending.open), int(Ending.cut)
    few = np.array([closed] * 98 + [opened] * 2, np.uint8)
    assert stopped(few, 0.0).tolist() == [False] * 98 + [True] * 2
    style = np.array([closed] * 50 + [opened] * 48 + [cut] * 2, np.uint8)
    assert stopped(style, broken_off(style, 0)).tolist() == [False] * 98 + [True] * 2
    assert stopped(style, broken_off(style, 30)).sum() == 50  # most end inside a word


def test_chosen_ones_that_are_cut_more_often_are_a_warning():
    whole = "There was a king who lived in a castle on a hill"
    rows = [
        pair(f"Tell me story {n}.", whole + (", and the" if n % 5 == 0 else "."), whole + ".")
        for n in range(200)
    ]
    found = findings(rows)["PC107"]
    assert found.severity is Severity.warning
    assert "20 % of the chosen, 0 % of the rejected" in found.sentence
    assert (found.count, found.total, found.unit) == (40, 400, "responses")
    assert found.examples[0].excerpts["chosen"].endswith("and the")
    assert findings(rows[1:5]) == {}


def test_refusals_are_told_for_both_sides_and_many_chosen_ones_are_a_warning():
    def rows(refusing):
        said = "I'm sorry, but I can't help with that."
        return [pair(f"Question {n}?", said if n < refusing else "Yes.", "No.") for n in range(100)]

    few, many = (findings(rows(n))["PC108"] for n in (10, 60))
    assert few.severity is Severity.info
    assert "10 % of the chosen, 0 % of the rejected" in few.sentence
    assert few.examples[0].excerpts["chosen"].startswith("I'm sorry")
    assert many.severity is Severity.warning


def test_refusals_in_real_data_are_counted_as_the_text_function_counts_them(shared):
    rows = real_rows(shared, "hh")
    found = findings(rows)["PC108"]
    assert found.count == sum(is_refusal(text) for case in cases(rows) for text in case.responses)
    assert found.severity is Severity.info


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2, 0.8, 0.99])
def test_marks_that_some_have_and_others_have_not(shared, rate):
    rows = real_rows(shared, "polite")
    faulty, planted = plant(rows, "PC110", rate)
    texts = [text for case in cases(faulty) for text in case.responses]
    found = findings(faulty)["PC110"]
    marked = sum(bool(closing_mark(text)) for text in texts)
    assert marked == len(planted)
    assert found.count == min(marked, len(texts) - marked)
    assert found.severity is (Severity.info if rate < 0.02 else Severity.warning)


def test_marks_on_one_side_only_are_an_error_and_on_all_responses_none_of_this_kind():
    def rows(chosen, rejected):
        return [pair(f"Question {n}?", "Yes." + chosen, "No." + rejected) for n in range(50)]

    assert findings(rows("</s>", ""))["PC110"].severity is Severity.error
    assert findings(rows("", "<|im_end|>"))["PC110"].severity is Severity.error
    assert findings(rows("</s>", "</s>")) == {}
    assert findings(rows("", "")) == {}


@pytest.mark.parametrize("name", ["hh", "chat", "polite", "ultrafeedback", "oasst", "thumbs"])
def test_balanced_real_data_has_nothing_above_info(shared, name):
    found = findings(balanced(real_rows(shared, name)))
    assert max((one.severity for one in found.values()), default=0) == Severity.info


def test_stories_that_were_cut_at_a_number_of_tokens_are_told(shared):
    found = findings(real_rows(shared, "stories"))["PC107"]
    assert found.severity is Severity.warning
    assert found.share > 0.7


def test_thumbs_have_sides_and_single_answers_have_none():
    def thumb(good):
        answer = Response((Message("assistant", "I can't help with that."),), Rating(good=good))
        return Group((Message("user", "Why?"),), (answer,))

    both = findings([thumb(True), thumb(False)])["PC108"]
    assert "100 % of the chosen, 100 % of the rejected" in both.sentence
    assert "chosen" not in findings([thumb(None)])["PC108"].sentence
    assert Sides().conclude(Account()).findings == ()


def test_the_judgement_of_one_ending_agrees_with_that_of_all():
    rows = [pair("Why?", "Because of the", "So it is.")]
    assert ending("Because of the") is Ending.cut
    assert stopping(rows) == {0}
