import random
from dataclasses import replace

import pytest

from preftune.checks.cases import CaseMaker
from preftune.checks.repeats.exact import Repeats
from preftune.checks.repeats.leaks import Leaks, SplitLeaks
from preftune.checks.repeats.near import NearRepeats
from preftune.checks.repeats.splits import is_held_out
from preftune.errors import DataError
from preftune.records import Exclusion, Message, Severity
from tests.checks.planting import real_rows
from tests.checks.repeating import RATES, reworded, without_repeats
from tests.checks.repeats.test_exact import conclusion, pair


def found_in(rows, held_out, *, full=True):
    repeats, maker = Repeats(), CaseMaker()
    near = NearRepeats(repeats) if full else None
    leaks = Leaks(lambda: held_out, "test.jsonl", near)
    for row in rows:
        case = maker.case(row)
        for check in (repeats, near, leaks):
            if check:
                check.see(case)
    found = leaks.conclude(maker.account)
    return {one.code: one for one in found.findings if one.count}, found.drops


def test_that_nothing_leaks_is_said_and_what_nobody_could_read():
    rows, other = [pair("a", "b", "c")], [pair("d", "b", "c")]

    def said(held_out):
        leaks = Leaks(lambda: held_out, "test.jsonl")
        maker = CaseMaker()
        leaks.see(maker.case(rows[0]))
        (one,) = leaks.conclude(maker.account).findings
        return one.severity.name, one.sentence

    assert said(other) == ("info", "none of the 1 prompt of test.jsonl is trained on.")
    level, sentence = said([*other, Exclusion("f:2", "not JSON")])
    assert level == "warning"
    assert "1 row of it can't be read" in sentence
    with pytest.raises(DataError, match="no row of the held-out file"):
        said([Exclusion("f:2", "not JSON")])


def retold(row, draw):
    """The row with its prompt in other case and white space."""
    *before, last = row.prompt
    text = draw.choice([last.content.upper(), last.content.replace(" ", "  \n"), last.content])
    return replace(row, prompt=(*before, Message("user", text)), source="test.jsonl:7")


def halves(shared):
    rows = without_repeats(real_rows(shared, "hh"))
    return rows[:1200], rows[1200:]


@pytest.mark.parametrize("rate", RATES)
def test_planted_leaks_are_found_and_nothing_else(shared, rate):
    trained, tested = halves(shared)
    draw = random.Random(0)
    bad = set(draw.sample(range(len(trained)), max(1, round(rate * len(trained)))))
    more = [retold(trained[number], draw) for number in bad]
    found, drops = found_in(trained, [*tested, *more, Exclusion("f:1", "broken")])
    assert drops == dict.fromkeys(bad, "PC203")
    assert found["PC203"].count == len(bad)
    assert found["PC203"].total == len(tested) + len(more)
    assert found["PC203"].examples[0].note == "also in test.jsonl:7"


def test_prompts_that_differ_in_a_few_words_leak_nearly(shared):
    rows = without_repeats(real_rows(shared, "ultrafeedback", "chat"))
    trained, tested = rows[:500], rows[500:]
    draw = random.Random(0)
    assert not found_in(trained, tested)[0]
    long = [row for row in trained if len(row.prompt[-1].content.split()) >= 40]
    more = []
    for row in long:
        text = reworded(row.prompt[-1].content, draw.randint(1, 3), draw)
        more.append(replace(row, prompt=(*row.prompt[:-1], Message("user", text))))
    found, drops = found_in(trained, [*tested, *more])
    assert set(found) == {"PC204"}
    assert 0.95 * len(more) <= found["PC204"].count <= len(more)
    assert drops == {}
    assert not found_in(trained, [*tested, *more], full=False)[0]


def test_real_splits_do_not_leak(shared):
    from preftune.sources import stream

    tested = list(stream(str(shared / "data/hh-harmless/test.jsonl.gz")).items)
    assert not found_in(real_rows(shared, "hh"), tested)[0]


def test_severity_follows_the_share_of_the_held_out_prompts():
    def severity(leaked):
        rows = [pair(f"{number}", "a", "b") for number in range(300)]
        held_out = [pair(f"{number}", "a", "b") for number in range(300 - leaked, 600 - leaked)]
        return found_in(rows, held_out, full=False)[0]["PC203"].severity

    assert [severity(leaked) for leaked in (1, 5, 50)] == list(Severity)


def test_nothing_trained_on_or_nothing_held_out():
    assert not found_in([], [pair("a", "b", "c")])[0]
    with pytest.raises(DataError, match="no row of the held-out file"):
        found_in([pair("a", "b", "c")], [])


def split(prompt, name, source="f:1"):
    return replace(pair(prompt, "a", "b", source=source), metadata={"split": name})


def test_prompts_in_two_splits_of_one_file_leak_and_the_training_rows_are_left_out():
    rows = [
        split("One?", "train"),
        split("Two?", "train"),
        split("one? ", "test", "f:3"),
        split("Three?", "validation"),
        split("Three?", "test"),  # two splits that are both held out
    ]
    found = conclusion(rows, SplitLeaks())
    assert found.drops == {0: "PC203"}
    assert found.findings[0].examples[0].note == "also in f:3"
    assert (found.findings[0].count, found.findings[0].total) == (1, 2)


def test_files_without_splits_or_with_other_columns_of_that_name():
    assert not conclusion([pair("a", "b", "c")] * 2, SplitLeaks()).findings
    assert not conclusion([split("a", 1), split("a", 2)], SplitLeaks()).findings
    names = ("train_prefs", "TEST_prefs", "dev", "alpha", 3)
    assert [is_held_out({"split": name}) for name in names] == [False, True, True, False, None]
