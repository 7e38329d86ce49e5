import pytest

from preftune.checks.cases import Account, Case, cases
from preftune.checks.examine import gather, run_checks
from preftune.checks.rows.faults import RowFaults
from preftune.records import Group, Message, Rating, Relation, Response, Severity, Silent
from tests.checks.planting import balanced, plant, real_rows, seen

EXACT = ["PC103", "PC104", "PC104 lost", "PC105", "PC106", "PC109"]


FILES = ("hh", "chat", "polite")
WHAT_SHOWS = {
    "PC104": ("â", "Ã", "Â", "\ufffd"),
    "PC105": ("<U+",),
    "PC106": ("turn",),
    "PC109": ("<", "[", "#", "Human:"),
}


def flagged(rows, code):
    return set(seen(RowFaults(), rows).tallies[code].rows)


def examined(rows, *checks):
    return gather(lambda: rows, run_checks(lambda: rows, checks or [RowFaults()], Silent()))


@pytest.mark.slow
@pytest.mark.parametrize("names", [("polite",), pytest.param(FILES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", EXACT)
def test_planted_faults_are_found_and_nothing_else(shared, fault, names):
    code = fault.split()[0]
    rows = real_rows(shared, *names)
    real = flagged(rows, code)  # those were in the data before
    assert len(real) < 0.01 * len(rows)
    for rate, seeds in ((0.001, 5), (0.01, 2), (0.05, 1), (0.2, 1)):
        hits = planted_rows = found_rows = 0
        for seed in range(seeds):
            faulty, planted = plant(rows, fault, rate, seed)
            found = flagged(faulty, code) - (real - set(planted))
            hits += len(found & set(planted))
            planted_rows += len(planted)
            found_rows += len(found)
        assert hits >= 0.95 * planted_rows, (fault, rate)
        assert hits >= 0.9 * found_rows, (fault, rate)


@pytest.mark.parametrize("fault", EXACT)
def test_what_is_frequent_is_severe_and_what_is_rare_is_not(shared, fault):
    rows = real_rows(shared, "polite")
    severities = []
    for rate in (0.002, 0.1, 0.9):
        faulty, _ = plant(rows, fault, rate)
        found = {one.code: one for one in examined(faulty).findings}[fault.split()[0]]
        low, high = found.estimate.low, found.estimate.high
        assert low <= found.share <= high
        severities.append(found.severity)
    assert severities[:2] == [Severity.info, Severity.warning]
    assert severities[2] is (Severity.error if found.share > 0.55 else Severity.warning)


@pytest.mark.parametrize("fault", EXACT)
def test_the_examples_show_the_place(shared, fault):
    rows, _ = plant(real_rows(shared, "chat"), fault, 0.02)
    code = fault.split()[0]
    found = {one.code: one for one in examined(rows).findings}[code]
    assert 1 <= len(found.examples) <= 3
    shown = [" ".join([*one.excerpts.values(), one.note]) for one in found.examples]
    if code in WHAT_SHOWS:
        assert all(any(sign in text for sign in WHAT_SHOWS[code]) for text in shown)


@pytest.mark.parametrize("name", ["hh", "chat", "polite", "ultrafeedback", "oasst", "thumbs"])
def test_balanced_real_data_has_nothing_above_info(shared, name):
    rows = balanced(real_rows(shared, name))
    assert examined(rows).worst is Severity.info


def test_rows_that_no_mend_can_save_are_dropped():
    def row(*responses):
        sides = tuple(Response((Message("assistant", text),)) for text in responses)
        return Group((Message("user", "Why is it so now?"),), sides, (Relation(0, 1),))

    rows = [
        row("Fine.", "Good.</s>"),
        row("\u200b", "Good."),
        row("Fine.", "Why is it so now?"),
        row("Fine.", "Yes.\n\nHuman: And?"),
        row("lost \ufffd", "Good."),
    ]
    assert examined(rows).drops == {1: "PC105", 2: "PC103", 3: "PC109", 4: "PC104"}


def test_odd_rows_are_no_trouble():
    words = (Message("assistant", "word"),)
    rows = [
        Group((), ()),
        Group((Message("user", ""),), (Response((Message("assistant", ""),)),)),
        Group((Message("user", "a"),), (Response(words, Rating(good=True)),)),
        Group(
            (Message("user", "a"),),
            tuple(Response(words, Rating(rank=n)) for n in range(7)),
        ),
        Group(
            (Message("user", "a" * 10**6),),
            (Response((Message("assistant", "\u202e" * 10**4),)), Response(words)),
            (Relation(0, 1, tie=True),),
        ),
    ]
    found = {one.code: one.count for one in examined(rows).findings}
    assert found == {"PC105": 1, "PC111": 1}
    assert RowFaults().conclude(Account()).findings == []
    assert all(isinstance(case, Case) for case in cases(rows))


def test_long_prompts_are_counted_and_a_warning_where_they_are_many():
    def rows(long):
        prompts = ["word " * (9_000 if n < long else 3) + str(n) for n in range(100)]
        answer = (Response((Message("assistant", "Yes."),)),)
        return [Group((Message("user", prompt),), answer) for prompt in prompts]

    few, many = (examined(rows(long)).findings[0] for long in (3, 40))
    assert (few.code, few.count, few.severity) == ("PC111", 3, Severity.info)
    assert "3 of them than 8,192" in few.sentence
    assert many.severity is Severity.warning
