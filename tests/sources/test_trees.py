"""Conversation trees: every place with ranked replies, and the account of all places."""

import copy

import pytest

from preftune.errors import DataError
from preftune.sources import announce, read
from tests.sources.files_written import jsonl


def node(role, text, *replies, **more):
    return {"role": role, "text": text, "replies": list(replies), **more}


def answer(text, rank, *replies, **more):
    return node("assistant", text, *replies, rank=rank, **more)


TREE = {
    "id": "t1",
    "prompt": node(
        "prompter",
        "Red?",
        answer("Yes.", 1, node("prompter", "Why?", answer("So.", 0), answer("Because.", 1))),
        answer("No.", 0, node("prompter", "And?", answer("Then.", None))),
        answer("Hm.", 2, node("prompter", "Well?")),
    ),
}


@pytest.fixture
def write(tmp_path):
    return lambda *rows: jsonl(tmp_path / "d.jsonl", rows)


def test_each_place_is_named_and_either_used_or_counted(write):
    path = write(TREE)
    reading = read(path)
    assert [group.source for group in reading.groups] == [f"{path}:1", f"{path}:1#1.1"]
    root, below = reading.groups
    assert [turn.content for turn in root.prompt] == ["Red?"]
    assert [(one.turns[0].content, one.rating.rank) for one in root.responses] == [
        ("Yes.", 1),
        ("No.", 0),
        ("Hm.", 2),
    ]
    assert [turn.content for turn in below.prompt] == ["Red?", "Yes.", "Why?"]
    assert (root.form, root.metadata) == ("chat", {"id": "t1"})
    (exclusion,) = reading.intake.exclusions
    assert (exclusion.source, exclusion.expected) == (f"{path}:1#2.1", True)
    assert reading.intake.summary() == (
        "3 rows: 2 used, 1 excluded (1 fewer than two ranked replies)"
    )
    assert reading.layout.endswith("kept as metadata: 'id'; 3 places from 1 rows of the file")


def test_expected_exclusions_are_counted_and_not_listed(write):
    reading = read(write(TREE, *[{"prompt": node("prompter", "Alone?")}] * 20))
    assert reading.intake.used == 2
    heard = []

    class Ear:
        say = heard.append

    announce(reading, "d", Ear())
    assert heard[-1] == "d: 23 rows: 2 used, 21 excluded (21 fewer than two ranked replies)"


def test_deleted_messages_are_left_out_with_what_is_below_them(write):
    tree = copy.deepcopy(TREE)
    tree["prompt"]["replies"][0]["deleted"] = True
    reading = read(write(tree, TREE))
    assert [len(group.responses) for group in reading.groups] == [2, 3, 2]
    assert "deleted messages left out, with all below them: 1." in reading.notes
    tree["prompt"]["deleted"] = True
    reading = read(write(tree, TREE))
    assert reading.intake.rows == 4
    assert reading.groups[0].source.endswith(":2")


def changed(change):
    tree = copy.deepcopy(TREE)
    change(tree["prompt"])
    return tree


BROKEN = [
    (changed(lambda root: root.update(text=None)), "", "message is not text"),
    (changed(lambda root: root.update(role="narrator")), "", "unknown role"),
    (changed(lambda root: root.update(replies="none")), "", "replies are not a list"),
    (changed(lambda root: root["replies"].append(7)), "#4", "unknown role"),
    (changed(lambda root: root["replies"][0].update(text=[])), "#1", "message is not text"),
    (changed(lambda root: root["replies"][0].update(rank="best")), "", "rank is not a number"),
    (changed(lambda root: root["replies"][0].update(rank=-1)), "", "rank below 0"),
    ({"prompt": "Red?"}, "", "no tree"),
    ({"prompt": None}, "", "no tree"),
]


@pytest.mark.parametrize(("row", "way", "reason"), BROKEN)
def test_a_broken_message_is_a_broken_place(write, row, way, reason):
    path = write(TREE, row, TREE)
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.code == "PT104"
    assert f"{path}:2{way}: {reason}" in caught.value.problem
    intake = read(path, bad_rows="skip").intake
    assert next(item.source for item in intake.exclusions if item.broken) == f"{path}:2{way}"


def test_places_without_a_ranking_are_more_than_a_few_and_no_error(write):
    lone = {"prompt": node("prompter", "Red?", answer("Yes.", 0))}
    reading = read(write(TREE, *[lone] * 50))
    assert (reading.intake.rows, reading.intake.used) == (53, 2)
    with pytest.raises(DataError) as caught:
        read(write(*[lone] * 3))
    assert caught.value.code == "PT103"


def test_identical_replies_in_a_tree_trip_the_refusal_as_in_lists(write):
    tree = {"prompt": node("prompter", "Red?", answer("Yes.", 0), answer("Yes.", 1))}
    with pytest.raises(DataError, match="identical responses rated differently"):
        read(write(TREE, tree))
    assert read(write(TREE, tree), bad_rows="skip").intake.used == 2
