import json

import numpy as np
import pytest

from preftune.checks.examine import gather, run_checks
from preftune.checks.shortcuts.shortcuts import Shortcuts
from preftune.records import Group, Message, Rating, Relation, Response, Severity, Silent
from preftune.sources import stream

FILLER = "the quick brown fox jumps over a lazy dog and runs away from it"


def examined(groups):
    return gather(lambda: groups, run_checks(lambda: groups, [Shortcuts()], Silent()))


def found(examination, code):
    return [one for one in examination.findings if one.code == code]


def side(text, **rating):
    return Response((Message("assistant", text),), Rating(**rating) if rating else None)


def pair(number, chosen, rejected, *, swap=False, shown=False):
    sides = (side(chosen), side(rejected))
    where = Relation(1, 0) if swap else Relation(0, 1)
    return Group(
        (Message("user", f"prompt {number}"),),
        sides[::-1] if swap else sides,
        (where,),
        f"f:{number}",
        shown=shown,
    )


def words(random, fewest=20, most=60):
    return " ".join(random.choice(FILLER.split(), random.integers(fewest, most)))


def planted(change, share, *, rows=1_000, seed=0, **more):
    """Random texts; in a `share` of the pairs the chosen side is changed, else the rejected."""
    random = np.random.default_rng(seed)
    groups = []
    for number in range(rows):
        one, other = words(random), words(random)
        changed, plain = change(one), other
        right = random.random() < share
        chosen, rejected = (changed, plain) if right else (plain, changed)
        groups.append(pair(number, chosen, rejected, swap=bool(random.random() < 0.5), **more))
    return groups


@pytest.mark.parametrize("share", [0.75, 0.94])
def test_longer_wins_is_reported_within_its_interval(share):
    done = examined(planted(lambda text: text + " and more" * 40, share))
    (length,) = found(done, "PC400")
    assert length.estimate.low <= share <= length.estimate.high
    assert length.estimate.n == 1_000
    assert length.severity is Severity.warning
    assert "the longer response is chosen" in length.sentence or "more words" in length.sentence
    assert done.figures["shortcuts"][0]["accuracy"] == pytest.approx(share, abs=0.05)
    json.dumps(done.figures)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda text: "- " + text + "\n- more\n- and more", "more list items"),
        (lambda text: "# Title\n" + text, "more headings"),
        (lambda text: "**Look:** " + text, "more bold passages"),
        (lambda text: "```\nx\n```\n" + text, "more code blocks"),
        (lambda text: "| a | b |\n| c | d |\n" + text, "more table rows"),
        (lambda text: text + " 🙂", "more emoji"),
        (lambda text: text + "?", "more question marks"),
        (lambda text: text + "!", "more exclamation marks"),
        (lambda text: text + " 42", "more digits"),
        (lambda text: "So.\n\n" + text, "more paragraphs"),
        (lambda text: text + " https://example.org", "more links"),
    ],
)
def test_each_form_is_found_within_its_interval(change, rule):
    done = examined(planted(change, 0.85, rows=400))
    (form,) = [one for one in found(done, "PC401") if rule in one.sentence]
    assert form.severity is Severity.warning
    assert form.estimate.low <= 0.85 <= form.estimate.high


def test_a_rule_that_decides_few_pairs_is_told_without_alarm():
    random = np.random.default_rng(0)
    groups = planted(lambda text: text, 0.5, rows=600)
    groups += [pair(n, words(random) + "!", words(random)) for n in range(700, 760)]
    (form,) = found(examined(groups), "PC401")
    assert form.severity is Severity.info
    assert "9.1 % of the pairs" in form.sentence


def test_refusals_that_win_are_found():
    groups = planted(lambda text: text, 0.5, rows=400)
    random = np.random.default_rng(1)
    refusal = "I'm sorry, but I can't help with that. "
    groups += [pair(n, refusal + words(random), words(random)) for n in range(500, 580)]
    (refuses,) = found(examined(groups), "PC402")
    assert refuses.severity is Severity.warning
    assert "the one that refuses is chosen" in refuses.sentence


def test_position_counts_only_where_the_order_was_shown():
    def groups(shown):
        random = np.random.default_rng(0)
        return [
            pair(n, words(random), words(random), swap=bool(n % 5 == 0), shown=shown)
            for n in range(500)
        ]

    assert not found(examined(groups(shown=False)), "PC403")
    (position,) = found(examined(groups(shown=True)), "PC403")
    assert position.severity is Severity.warning
    assert position.estimate.value == pytest.approx(0.8)
    assert "shown first" in position.sentence


def test_the_opening_is_selected_on_one_half_and_measured_on_the_other():
    done = examined(planted(lambda text: "Sure, I can do it: " + text, 0.9))
    (opening,) = found(done, "PC404")
    assert opening.severity is Severity.warning
    assert "“sure" in opening.sentence
    assert opening.total == 500
    assert opening.estimate.low <= 0.9 <= opening.estimate.high


def test_without_a_telling_opening_the_selected_one_is_not_flattered():
    off = []
    for seed in range(4):
        done = examined(planted(lambda text: text, 0.5, seed=seed))
        assert all(one.severity is Severity.info for one in found(done, "PC404"))
        rules = {rule["rule"]: rule["accuracy"] for rule in done.figures["shortcuts"]}
        (opening,) = (accuracy for rule, accuracy in rules.items() if "begin" in rule)
        off.append(opening)
    assert np.mean(off) < 0.6  # the direction is still chosen after the look: a little above 1/2


def test_pairs_of_one_prompt_are_one_witness():
    random = np.random.default_rng(0)
    texts = [words(random, 20 + n, 21 + n) for n in range(12)]
    ranking = Group(
        (Message("user", "one prompt"),),
        tuple(side(text, rank=11 - n) for n, text in enumerate(texts)),
    )
    (length, *_) = found(examined([ranking]), "PC400")
    assert (length.count, length.total) == (66, 66)
    assert length.estimate.low == 0
    assert length.severity is Severity.info


def test_thumbs_are_compared_good_with_bad():
    random = np.random.default_rng(0)
    groups = [
        Group(
            (Message("user", f"prompt {n}"),),
            (side(words(random) + "!" * (n % 2), good=bool(n % 2)),),
        )
        for n in range(300)
    ]
    done = examined(groups)
    (form,) = found(done, "PC401")
    assert form.severity is Severity.warning
    assert "the good response has more exclamation marks in 100 %" in form.sentence
    assert form.total == 150 * 150


@pytest.mark.parametrize("seed", range(2))
def test_real_pairs_with_sides_swapped_at_random_stay_clean(seed, shared):
    random = np.random.default_rng(seed)
    groups = [
        Group(one.prompt, one.responses, (Relation(*random.permutation(2).tolist()),))
        for one in stream(str(shared / "data/hh-harmless/train.jsonl.gz")).items
        if isinstance(one, Group)
    ]
    assert examined(groups).worst is Severity.info


def test_odd_data_is_no_fault():
    empty = Group((), (), ())
    tie = Group((), (side("a"), side("b")), (Relation(0, 1, tie=True),))
    same = pair(1, "", "")
    for groups in ([], [empty], [tie], [same], [pair(1, "a", "")], [empty, tie, same]):
        examined(groups)
    up = Group((), (side("a", good=True),))
    assert not found(examined([up]), "PC400")
