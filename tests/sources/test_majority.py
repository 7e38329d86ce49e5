"""Several judgements of the same two responses become one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.records import Group, Intake, Message, Relation, Response
from preftune.sources import convert, read
from tests.sources.files_written import jsonl


def answer(text):
    return Response((Message("assistant", text),))


def group(*relations, responses="xy", prompt="q", **more):
    sides = tuple(map(answer, responses))
    return Group((Message("user", prompt),), sides, relations, source=f"f:{prompt}", **more)


def done(*groups):
    return convert(groups, Intake(len(groups), len(groups)), "majority")


def votes(text):
    """`x`, `y` and `t` for a tie, of the responses x and y."""
    kinds = {"x": Relation(0, 1), "y": Relation(1, 0), "t": Relation(0, 1, tie=True)}
    return tuple(kinds[letter] for letter in text)


SHARES = [
    ("xxy", 0, 2 / 3),
    ("yyx", 1, 2 / 3),
    ("xxx", 0, 1.0),
    ("xtt", 0, 2 / 3),
    ("yt", 1, 0.75),
    ("xxyyt", None, None),
    ("tt", None, None),
    ("xy", None, None),
]


@pytest.mark.parametrize(("said", "winner", "strength"), SHARES)
def test_the_share_of_the_votes_is_the_strength(said, winner, strength):
    together = done(group(*votes(said)))
    over_rows = done(*(group(vote) for vote in votes(said)))
    turned = done(*(
        group(vote) if number % 2 else
        group(Relation(vote.loser, vote.winner, tie=vote.tie) if not vote.tie else vote,
              responses="yx")
        for number, vote in enumerate(votes(said), 1)
    ))  # fmt: skip
    for converted in (together, over_rows):
        (one,) = converted.groups
        (relation,) = one.relations
        assert relation.tie == (winner is None)
        if winner is not None:
            assert relation.winner == winner
            assert relation.strength == pytest.approx(strength)
    (one,) = turned.groups
    assert one.relations[0].tie == (winner is None)
    if winner is not None:
        text = one.responses[one.relations[0].winner].turns[0].content
        assert text == "xy"[winner]


def test_merged_rows_are_accounted_for_and_single_judgements_stay():
    alone = group(Relation(0, 1, strength=0.8, margin=2.0, annotator="w"), prompt="other")
    rows = [group(Relation(0, 1, annotator="u")), alone, group(Relation(1, 0)), group(*votes("x"))]
    converted = done(*rows)
    assert [one.source for one in converted.groups] == ["f:q", "f:other"]
    assert converted.groups[1] == alone
    assert converted.groups[0].relations[0].annotator == ""
    assert converted.intake.summary() == (
        "4 rows: 2 used, 2 excluded (2 merged with another judgement of the pair)"
    )
    assert {one.detail for one in converted.intake.exclusions} == {"with f:q"}
    assert converted.sentence == (
        "majority: 3 judgements merged into 1, 0 of them unanimous, 0 evenly split: ties."
    )


def test_the_same_responses_to_another_prompt_are_another_pair():
    converted = done(group(*votes("x")), group(*votes("y"), prompt="p"))
    assert len(converted.groups) == 2
    assert "no two responses were judged more than once" in converted.sentence


def test_doubt_margins_and_weights_are_averaged_in_favour_of_the_winner():
    first = Relation(0, 1, strength=0.6, margin=1.0)
    second = Relation(1, 0, strength=0.9, margin=4.0)
    (one,) = done(group(first, second)).groups
    (relation,) = one.relations
    assert (relation.winner, relation.loser) == (1, 0)
    assert relation.strength == pytest.approx((0.4 + 0.9) / 2)
    assert relation.margin == pytest.approx(1.5)
    (one,) = done(group(first, Relation(1, 0))).groups
    assert one.relations[0].margin is None
    heavy, light = group(*votes("x"), weight=3.0), group(*votes("y"))
    (one,) = done(heavy, light).groups
    assert one.relations[0].strength == 0.75
    assert one.weight * one.relations[0].weight == pytest.approx(2.0)


def test_of_several_responses_each_two_are_merged_alone():
    ring = group(Relation(0, 1), Relation(1, 2), Relation(1, 0), Relation(0, 1), responses="xyz")
    (one,) = done(ring).groups
    first, second = one.relations
    assert (first.winner, first.loser, first.strength) == (0, 1, pytest.approx(2 / 3))
    assert second == Relation(1, 2)
    assert len(one.responses) == 3


judgements = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("xyt"), st.booleans()), min_size=1, max_size=12
)


@given(judgements)
def test_no_vote_is_lost_and_none_counts_twice(said):
    rows, tally = [], {}
    for pair, vote, turned in said:
        (relation,) = votes(vote)
        if turned and not relation.tie:
            relation = Relation(relation.loser, relation.winner)
        rows.append(group(relation, responses="yx" if turned else "xy", prompt=f"{pair}"))
        tally.setdefault(f"{pair}", Counter())[vote] += 1
    converted = done(*rows)
    assert {one.prompt[0].content for one in converted.groups} == set(tally)
    assert len(converted.groups) + len(converted.intake.exclusions) == len(rows)
    for one in converted.groups:
        count = tally[one.prompt[0].content]
        share = (count["x"] + count["t"] / 2) / count.total()
        (relation,) = one.relations
        assert relation.tie == (share == 0.5)
        if not relation.tie:
            winner = one.responses[relation.winner].turns[0].content
            assert winner == ("x" if share > 0.5 else "y")
            assert relation.strength == pytest.approx(max(share, 1 - share))


def test_three_people_s_judgements_become_one(shared):
    reading = read(str(shared / "data/pandalm/testset-v1.json"), bad_rows="skip")
    converted = convert(reading.groups, reading.intake, "majority")
    assert all(len(one.relations) == 1 for one in converted.groups)
    strengths = [one.relations[0].strength for one in converted.groups]
    shares = Counter(np.round(strengths, 6))
    assert shares[1.0] > 0.8 * len(strengths)
    assert set(shares) >= {0.666667, 0.833333, 1.0}
    assert converted.intake.rows == reading.intake.rows


def test_a_crowd_s_rows_become_pairs(tmp_path):
    row = {"topic": "Red?", "a1": "Yes.", "a2": "No."}
    rows = [{**row, "label": label, "annotator": f"w{number}"}
            for number, label in enumerate(["a1", "a1", "a2", "equal"])]  # fmt: skip
    reading = read(jsonl(tmp_path / "d.jsonl", rows), mapping={"prompt": "topic"})
    (one,) = convert(reading.groups, reading.intake, "majority").groups
    assert one.relations == (Relation(0, 1, strength=0.625),)
    assert one.shown
