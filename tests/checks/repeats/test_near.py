import random

import pytest

from preftune.checks.cases import CaseMaker
from preftune.checks.repeats.exact import Repeats
from preftune.checks.repeats.near import NearRepeats
from preftune.records import Group, Message, Rating, Relation, Response, Severity
from tests.checks.planting import real_rows
from tests.checks.repeating import nearly, planted, reworded, swapped, without_repeats, words_in


def found_in(rows):
    """Findings by code."""
    repeats, maker = Repeats(), CaseMaker()
    near = NearRepeats(repeats)
    for row in rows:
        case = maker.case(row)
        repeats.see(case)
        near.see(case)
    return {one.code: one for one in near.conclude(maker.account).findings}, near


def pair(prompt, chosen, rejected, annotator="", before=()):
    sides = [Response((Message("assistant", text),)) for text in (chosen, rejected)]
    relation = Relation(0, 1, annotator=annotator)
    return Group((*before, Message("user", prompt)), tuple(sides), (relation,), "f:1")


def words(count, seed=0):
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(10_000)}" for _ in range(count))


@pytest.mark.parametrize("names", [("hh",), ("ultrafeedback", "chat")])
@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_rows_with_a_few_changed_words_are_found(shared, names, rate):
    rows = [row for row in without_repeats(real_rows(shared, *names)) if words_in(row) >= 40]
    clean = found_in(rows)[0].get("PC201")
    data = planted(rows, rate, lambda row, draw: [nearly(row, draw)], first_too=False)
    found = found_in(data.rows)[0]["PC201"].count - (clean.count if clean else 0)
    assert 0.95 * len(data.bad) <= found <= len(data.bad)


@pytest.mark.parametrize("names", [("hh",), ("ultrafeedback", "chat")])
def test_prompts_with_a_few_changed_words_are_found(shared, names):
    draw = random.Random(0)
    rows = without_repeats(real_rows(shared, *names))
    long = [row for row in rows if len(row.prompt[-1].content.split()) >= 40]
    before = found_in(rows)[0]["PC202"].count
    more = [
        pair(
            reworded(row.prompt[-1].content, draw.randint(1, 3), draw),
            "x",
            "y",
            "",
            row.prompt[:-1],
        )
        for row in long
    ]
    found = found_in([*rows, *more])[0]["PC202"].count - before
    assert 0.95 * len(more) <= found <= len(more)


def test_clean_data_has_no_near_repeats(shared):
    for name in ("hh", "ultrafeedback", "chat", "oasst"):
        findings = found_in(without_repeats(real_rows(shared, name)))[0].values()
        assert all(one.severity is Severity.info and one.share < 0.01 for one in findings)


def test_other_responses_to_a_long_prompt_are_no_near_repeat():
    rows = [pair(words(500), f"Yes {n}, surely.", f"No {n}, never.") for n in range(4)]
    assert not found_in(rows)[0]


def test_exact_repeats_and_other_judges_are_not_counted_again():
    rows = [pair(words(50), words(20, 1), words(20, 2), name) for name in ("", "", "Ann", "Bob")]
    assert not found_in([*rows, swapped(rows[0])])[0]


def test_a_dialogue_that_goes_on_is_no_repeat_of_its_beginning():
    start = (Message("user", words(100)), Message("assistant", words(100, 1)))
    questions = ("And what does that mean?", "Who says so?", "Tell me about its history.")
    rows = [
        pair(question, f"{n} a", f"{n} b", before=start) for n, question in enumerate(questions)
    ]
    assert not found_in(rows)[0]
    again = pair("And what does that mean?", "x", "y", before=(start[0], Message("assistant", "")))
    assert not found_in([rows[0], again])[0]


def test_a_template_around_every_prompt_makes_none_of_them_a_repeat():
    around = "Below is an instruction that describes a task, paired with an input. Respond to it! "
    rows = [pair(around + words(4, n), f"{n} a", f"{n} b") for n in range(300)]
    assert not found_in(rows)[0]
    again = pair(around + words(4, 7) + "!", "7 c", "7 d")
    assert found_in([*rows, again])[0]["PC202"].count == 1


def test_scripts_without_spaces():
    text = "今天天气很好我们一起去公园散步然后在湖边喝茶聊天直到太阳下山再慢慢走回家"
    rows = [pair(text, "好", "不"), pair(text.replace("喝茶", "喝酒"), "好", "不")]
    found = found_in(rows)[0]
    assert (found["PC201"].count, found["PC202"].count) == (1, 1)
    assert found["PC202"].examples[0].note == "nearly the prompt of f:1"


def test_odd_rows_do_no_harm():
    empty = Group((), ())
    silent = pair("", "?!", "…")
    thumbs = Group(
        (Message("user", "p"),), (Response((Message("assistant", "a"),), Rating(good=False)),)
    )
    assert not found_in([empty, silent, thumbs, pair("a", "x " * 200_000, "y")])[0]
    assert not found_in([])[0]


def test_clusters_of_prompts_are_named_by_their_first():
    rows = [pair(words(30), "a", "b"), pair("other", "a", "b"), pair(words(30) + "!", "c", "d")]
    assert found_in(rows)[1].prompt_clusters().tolist() == [0, 1, 0]
