from dataclasses import replace

import pytest

from preftune.checks.mending.fates import each_turn, fates, mended
from preftune.records import Exclusion, Group, Message, Rating, Relation, Response

STRIP = ("PC105", each_turn(lambda text: text.replace("\x07", "")))
TICKS = ("PC104", each_turn(lambda text: text.replace("â€™", "\x07’")))


def pair(prompt="Red?", chosen="Yes.", rejected="No.", source="f:1"):
    sides = tuple(Response((Message("assistant", text),)) for text in (chosen, rejected))
    return Group((Message("user", prompt),), sides, (Relation(0, 1),), source)


def test_a_clean_group_is_the_same_object():
    group = pair()
    assert mended(group, (STRIP, TICKS)) == (group, ())
    assert mended(group, (STRIP, TICKS))[0] is group


def test_each_mend_is_one_change_with_all_its_places():
    group, (change,) = mended(pair(chosen="Y\x07es.", rejected="\x07No."), (STRIP, TICKS))
    assert group == pair()
    assert (change.code, change.action, change.what) == ("PC105", "changed", "control characters")
    assert change.before == {"chosen": "Y\x07es.", "rejected": "\x07No."}
    assert change.after == {"chosen": "Yes.", "rejected": "No."}


def test_what_one_mend_uncovers_the_other_mends():
    group, changes = mended(pair("It\x07â€™s"), (STRIP, TICKS))
    assert group.prompt[0].content == "It’s"
    assert [change.code for change in changes] == ["PC105", "PC104"]
    assert changes[0].before == {"prompt": "It\x07â€™s"}


def test_judgements_ratings_and_roles_stay():
    turns = (Message("assistant", "a\x07"), Message("tool", "\x07"), Message("assistant", "b"))
    rated = Response(turns, Rating(score=2.5))
    group = replace(pair(), responses=(rated, pair().responses[1]), weight=3.0, metadata={"id": 7})
    better, _ = mended(group, (STRIP,))
    assert [turn.content for turn in better.responses[0].turns] == ["a", "", "b"]
    assert [turn.role for turn in better.responses[0].turns] == ["assistant", "tool", "assistant"]
    assert replace(better, responses=group.responses) == group
    assert better.responses[0].rating == Rating(score=2.5)


@pytest.mark.parametrize(
    ("group", "code", "what"),
    [
        (pair(prompt="\x07"), "PC100", "empty prompt, once mended"),
        (pair(rejected=" \x07"), "PC101", "empty response, once mended"),
        (pair(chosen="No\x07."), "PC102", "identical responses, once mended"),
    ],
)
def test_what_is_nothing_once_mended_is_left_out(group, code, what):
    (fate,) = fates([group], {}, (STRIP,))
    (change,) = fate.changes
    assert fate.group is None
    assert (change.code, change.action, change.what) == (code, "dropped", what)
    assert change.before["chosen"] == group.responses[0].turns[0].content.strip()


def test_rows_are_counted_as_the_checks_count_them():
    items = [
        pair("a", source="f:1"),
        Exclusion("f:2", "empty chosen", "it is ''", broken=False),
        Exclusion("f:3", "fewer than two replies", expected=True),
        pair("b", source="f:4"),
        pair("c", source="f:5"),
    ]
    found = list(fates(items, {1: "PC200"}, ()))
    assert [fate.number for fate in found] == [0, -1, -1, 1, 2]
    assert [fate.group is not None for fate in found] == [True, False, False, False, True]
    left = [fate.changes[0] for fate in found[1:4]]
    assert [(one.source, one.code, one.what) for one in left] == [
        ("f:2", "PC101", "empty chosen"),
        ("f:3", "", "fewer than two replies"),
        ("f:4", "PC200", "exact repeats"),
    ]
