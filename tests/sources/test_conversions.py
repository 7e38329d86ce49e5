"""Conversions: named, counted, and without any judgement that the data does not hold."""

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preftune.errors import ConfigError, DataError
from preftune.records import Group, Intake, Message, Rating, Relation, Response
from preftune.sources import CONVERSIONS, convert, read
from tests.sources.files_written import jsonl

TO_PAIRS = ("best-versus-worst", "best-versus-random", "all-pairs")


def group(*ratings, prompt="q", **more):
    """Responses `r0`, `r1`, … with these ratings, where a number is a score."""
    responses = tuple(
        Response(
            (Message("assistant", f"r{index}"),),
            Rating(score=float(one)) if isinstance(one, int | float) else one,
        )
        for index, one in enumerate(ratings)
    )
    return Group((Message("user", prompt),), responses, source=f"f:{prompt}", **more)


def ranked(*ranks, prompt="q"):
    return group(*(None if rank is None else Rating(rank=rank) for rank in ranks), prompt=prompt)


def paired(*relations, responses=2, **more):
    return group(*[None] * responses, relations=relations, **more)


def done(name, *groups, **options):
    return convert(groups, Intake(len(groups), len(groups)), name, **options)


def texts(one):
    return [response.turns[0].content for response in one.responses]


def test_best_versus_worst_keeps_two_responses_their_scores_and_their_gap():
    (one,) = done("best-versus-worst", group(3, 9, 1, 5, weight=2.0)).groups
    assert texts(one) == ["r1", "r2"]
    assert one.relations == (Relation(0, 1, margin=8.0),)
    assert [response.rating.score for response in one.responses] == [9.0, 1.0]
    assert (one.weight, one.source) == (2.0, "f:q")


def test_ranks_make_pairs_without_a_margin():
    (one,) = done("best-versus-worst", ranked(2, 0, 1, None)).groups
    assert texts(one) == ["r0", "r1"]
    assert one.relations == (Relation(1, 0),)
    (one,) = done("all-pairs", ranked(1, 0, 1, None)).groups
    assert texts(one) == ["r0", "r1", "r2"]
    assert one.relations == (Relation(1, 0, weight=0.5), Relation(1, 2, weight=0.5))


def test_all_pairs_share_their_responses_and_count_as_one_prompt():
    converted = done("all-pairs", group(3, 9, 9, 1), group(5, 4, prompt="p"))
    first, second = converted.groups
    assert len(first.responses) == 4
    assert {(one.winner, one.loser, one.margin) for one in first.relations} == {
        (1, 0, 6.0), (2, 0, 6.0), (0, 3, 2.0), (1, 3, 8.0), (2, 3, 8.0),
    }  # fmt: skip
    assert {one.weight for one in first.relations} == {0.2}
    assert second.relations == (Relation(0, 1, margin=1.0),)
    assert converted.sentence == (
        "all-pairs: 6 pairs from 2 prompts, each prompt counting once; 1 tie made no pair."
    )


def test_a_minimum_gap_is_counted_and_rounding_does_not_matter():
    converted = done("all-pairs", group(4.3, 4.2, 4.25), minimum_gap=0.1)
    assert converted.groups[0].relations == (Relation(0, 1, margin=4.3 - 4.2),)
    assert texts(converted.groups[0]) == ["r0", "r1"]
    assert converted.sentence == (
        "all-pairs: 1 pair from 1 prompt, each prompt counting once; 2 gaps below 0.1 made no "
        "pair; 1 response in no judgement left out."
    )
    assert 4.3 - 4.2 < 0.1


def test_what_makes_no_pair_is_excluded_by_reason():
    groups = [
        group(2, 1), group(2, 2, prompt="equal"), group(2, 1.5, prompt="near"),
        group(2, None, prompt="one"), group(None, Rating(good=True), prompt="none"),
    ]  # fmt: skip
    for name in TO_PAIRS:
        converted = done(name, *groups, minimum_gap=1.0)
        assert len(converted.groups) == 1
        assert {item.source: item.reason for item in converted.intake.exclusions} == {
            "f:equal": "all responses rated equal",
            "f:near": "gap below the minimum",
            "f:one": "fewer than two rated responses",
            "f:none": "fewer than two rated responses",
        }
        assert not any(item.broken for item in converted.intake.exclusions)
        assert converted.intake.summary().startswith("5 rows: 1 used, 4 excluded (2 fewer than")
        assert "4 rows excluded (2 fewer than two rated responses" in converted.sentence


def test_ranks_beside_scores_are_no_gaps():
    converted = done("all-pairs", group(2, 1), ranked(0, 3, prompt="ranks"), minimum_gap=1.0)
    assert converted.intake.by_reason == {"no scores to measure a gap": 1}
    assert len(done("all-pairs", group(2, 1), ranked(0, 3, prompt="ranks")).groups) == 2


def test_among_equals_the_lot_decides_and_it_is_said():
    winners = Counter()
    for number in range(60):
        converted = done("best-versus-worst", group(5, 5, 1, prompt=f"{number}"))
        assert "among equals the lot decided in 1 prompt" in converted.sentence
        winners[texts(converted.groups[0])[0]] += 1
    assert set(winners) == {"r0", "r1"}
    assert min(winners.values()) > 15


def test_the_lot_draws_each_of_the_worse_ones_and_the_seed_changes_it():
    groups = [group(5, 1, 2, 3, prompt=f"{number}") for number in range(90)]
    first, same, other = (
        [texts(one) for one in done("best-versus-random", *groups, seed=seed).groups]
        for seed in (0, 0, 1)
    )
    assert first == same != other
    losers = Counter(pair[1] for pair in first)
    assert set(losers) == {"r1", "r2", "r3"}
    assert min(losers.values()) > 15
    assert all(pair[0] == "r0" for pair in first)


def test_a_random_loser_is_far_enough_below_the_best():
    groups = [group(5, 4.5, 2, 1, 5, prompt=f"{number}") for number in range(30)]
    converted = done("best-versus-random", *groups, minimum_gap=2)
    pairs = {tuple(texts(one)) for one in converted.groups}
    assert pairs == {("r0", "r2"), ("r0", "r3"), ("r2", "r4"), ("r3", "r4")}
    assert all(one.relations[0].margin >= 2 for one in converted.groups)


def test_thumbs_of_pairs_keep_ratings_and_weights_and_lose_doubt_aloud():
    scored = replace(group(4, 3, weight=3.0), relations=(Relation(1, 0, strength=0.7, weight=0.5),))
    converted = done("thumbs", scored, paired(Relation(0, 1, tie=True), prompt="tie"))
    (one,) = converted.groups
    assert [response.rating for response in one.responses] == [
        Rating(good=False, score=4.0),
        Rating(good=True, score=3.0),
    ]
    assert (one.relations, one.weight) == ((), 1.5)
    assert converted.intake.by_reason == {"tie": 1}
    assert converted.sentence == (
        "thumbs: 1 pair as 1 good and 1 bad; the doubt of 1 judgement is lost; 1 row excluded "
        "(1 tie)."
    )


def test_a_response_that_won_and_lost_has_no_thumb():
    chain = paired(Relation(0, 1), Relation(1, 2), responses=3)
    ring = paired(Relation(0, 1), Relation(1, 2), Relation(2, 0), responses=3, prompt="ring")
    converted = done("thumbs", chain, ring)
    assert [response.rating.good for response in converted.groups[0].responses] == [True, False]
    assert texts(converted.groups[0]) == ["r0", "r2"]
    assert converted.intake.by_reason == {"every response both won and lost": 1}


def test_ranks_of_scores_share_places_and_leave_the_unrated_out():
    converted = done("ranks", group(3, 9, None, 3), group(1, 1, prompt="equal"))
    (one,) = converted.groups
    assert [response.rating for response in one.responses] == [
        Rating(score=3.0, rank=1),
        Rating(score=9.0, rank=0),
        Rating(score=3.0, rank=1),
    ]
    assert converted.intake.by_reason == {"all responses rated equal": 1}
    assert converted.sentence == (
        "ranks: 1 ranking from scores; 1 of them with shared places; 1 response in no judgement "
        "left out; 1 row excluded (1 all responses rated equal)."
    )


REFUSED = [
    ("best-vs-worst", [group(1, 2)], {}, "did you mean `best-versus-worst`"),
    ("pairs", [group(1, 2)], {}, "`all-pairs` (ratings or rankings to pairs"),
    ("all-pairs", [group(1, 2)], {"minimum_gap": -1.0}, "give 0 or more"),
    ("all-pairs", [group(1, 2)], {"minimum_gap": math.nan}, "give 0 or more"),
    ("all-pairs", [ranked(0, 1)], {"minimum_gap": 1.0}, "leave data.minimum_gap out"),
    ("ranks", [group(1, 2)], {"minimum_gap": 1.0}, "leave data.minimum_gap out"),
    ("thumbs", [paired(Relation(0, 1))], {"minimum_gap": 1.0}, "leave data.minimum_gap out"),
    ("majority", [group(1, 2)], {}, "leave data.convert out"),
    ("majority", [paired(Relation(0, 1))], {"minimum_gap": 1.0}, "leave data.minimum_gap out"),
    ("thumbs", [group(1, 2)], {}, "leave data.convert out"),
    ("ranks", [ranked(0, 1)], {}, "leave data.convert out"),
    ("all-pairs", [group(Rating(good=True))], {}, "leave data.convert out"),
    ("all-pairs", [group(None, None)], {}, "leave data.convert out"),
    ("best-versus-worst", [paired(Relation(0, 1))], {}, "leave data.convert out"),
]


@pytest.mark.parametrize(("name", "groups", "options", "fix"), REFUSED)
def test_what_would_have_no_effect_is_an_error(name, groups, options, fix):
    with pytest.raises(ConfigError) as caught:
        done(name, *groups, **options)
    assert (caught.value.code, caught.value.where) == ("PT301", "data.convert")
    assert fix in caught.value.fix


def test_nothing_left_is_an_error_that_names_the_gap():
    with pytest.raises(DataError, match="1 gap below the minimum") as caught:
        done("best-versus-worst", group(1, 2), minimum_gap=3.0)
    assert caught.value.code == "PT106"
    assert "smaller data.minimum_gap" in caught.value.fix
    with pytest.raises(DataError, match="1 all responses rated equal") as caught:
        done("all-pairs", group(2, 2))
    assert "minimum_gap" not in caught.value.fix


def test_every_conversion_has_one_line():
    assert set(CONVERSIONS) == {*TO_PAIRS, "majority", "thumbs", "ranks"}
    lines = [conversion.line for conversion in CONVERSIONS.values()]
    assert all(line and "\n" not in line and not line.endswith(".") for line in lines)


# ---------------------------------------------------------------- for any data

scores = st.none() | st.sampled_from([1.0, 1.5, 2.0, 4.0, -3.0])
places = st.none() | st.integers(0, 3)
rated = st.lists(scores, min_size=1, max_size=5) | st.lists(
    places.map(lambda place: None if place is None else Rating(rank=place)), min_size=1, max_size=5
)
data = st.lists(rated, max_size=6).map(
    lambda rows: [
        group(*row, prompt=f"{number}", weight=1.0 + number)
        for number, row in enumerate([[9.0, -9.0], *rows])
    ]
)
"""Groups of any kind; the first always makes a pair."""


def value(response):
    rating = response.rating
    if rating is None:
        return None
    return rating.score if rating.score is not None else -rating.rank


@pytest.mark.parametrize("name", TO_PAIRS)
@settings(max_examples=40)
@given(groups=data, gap=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 2**63 - 1))
def test_no_pair_is_invented_and_no_prompt_counts_twice(name, groups, gap, seed):
    converted = done(name, *groups, minimum_gap=gap, seed=seed)
    before = {one.source: one for one in groups}
    assert converted.intake.rows == len(groups)
    assert converted.intake.used == len(converted.groups)
    sources = [one.source for one in converted.groups]
    sources += [item.source for item in converted.intake.exclusions]
    assert sorted(sources) == sorted(before)
    for one in converted.groups:
        whole = before[one.source]
        assert set(one.responses) <= set(whole.responses)
        assert one.weight == whole.weight
        assert sum(relation.weight for relation in one.relations) == pytest.approx(1)
        named = {side for relation in one.relations for side in (relation.winner, relation.loser)}
        assert named == set(range(len(one.responses)))
        for relation in one.relations:
            winner, loser = one.responses[relation.winner], one.responses[relation.loser]
            assert value(winner) > value(loser)
            scored = winner.rating.score is not None
            assert scored or not gap
            assert value(winner) - value(loser) >= gap
            assert relation.margin == (value(winner) - value(loser) if scored else None)
            assert not relation.tie


@settings(max_examples=40)
@given(groups=data, gap=st.sampled_from([0.0, 1.0]))
def test_all_pairs_are_all_of_them_and_ties_and_gaps_are_counted(groups, gap):
    converted = done("all-pairs", *groups, minimum_gap=gap)
    count = Counter()
    for one in groups:
        if gap and any(
            response.rating and response.rating.rank is not None for response in one.responses
        ):
            continue
        known = [number for number in map(value, one.responses) if number is not None]
        for first, second in combinations(known, 2):
            difference = abs(first - second)
            count["tie" if not difference else "gap" if difference < gap else "pair"] += 1
    assert sum(len(one.relations) for one in converted.groups) == count["pair"]
    for what, said in (("tie", " made no pair"), ("gap", f" below {gap:g} made no pair")):
        noun = what + "s" * (count[what] != 1)
        assert (f"{count[what]} {noun}{said}" in converted.sentence) == (count[what] > 0)


@pytest.mark.parametrize("name", TO_PAIRS)
@settings(max_examples=40)
@given(groups=data, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_responses_does_not_matter(name, groups, order):
    def judgements(found):
        return {
            (one.source, one.responses[relation.winner].turns, one.responses[relation.loser].turns)
            for one in found.groups
            for relation in one.relations
        }

    mixed = [
        replace(one, responses=tuple(order.sample(one.responses, len(one.responses))))
        for one in order.sample(groups, len(groups))
    ]
    assert judgements(done(name, *groups, seed=3)) == judgements(done(name, *mixed, seed=3))


@settings(max_examples=40)
@given(groups=data)
def test_ranks_say_what_the_scores_say(groups):
    converted = done("ranks", *groups)
    assert {len(one.responses) > 1 for one in converted.groups} == {True}
    for one in converted.groups:
        assert {response.rating.rank for response in one.responses} >= {0, 1}
        for first, second in combinations(one.responses, 2):
            difference = first.rating.score - second.rating.score
            places = second.rating.rank - first.rating.rank
            assert math.copysign(difference != 0, difference) == math.copysign(places != 0, places)


# ---------------------------------------------------------------- real data


def test_trees_become_pairs(shared):
    reading = read(str(shared / "data/oasst/trees.jsonl.gz"))
    for name in TO_PAIRS:
        converted = convert(reading.groups, reading.intake, name)
        assert converted.intake.summary().startswith("152 rows: 122 used, 30 excluded")
        assert sum(len(one.relations) for one in converted.groups) == (
            sum(math.comb(len(one.responses), 2) for one in reading.groups)
            if name == "all-pairs"
            else 122
        )
    with pytest.raises(ConfigError, match="and the data holds ranks"):
        convert(reading.groups, reading.intake, "all-pairs", minimum_gap=0.5)


def test_scored_pairs_become_thumbs_without_their_ties(shared):
    reading = read(str(shared / "data/ultrafeedback/scored.jsonl.gz"))
    converted = convert(reading.groups, reading.intake, "thumbs")
    assert (
        converted.sentence
        == "thumbs: 357 pairs as 357 good and 357 bad; 42 rows excluded (42 tie)."
    )
    assert converted.intake.by_reason == {"tie": 42, "identical responses": 1}
    assert all(
        response.rating.score is not None and response.rating.good is (index == 0)
        for one in converted.groups
        for index, response in enumerate(one.responses)
    )


def test_four_scored_completions_as_published_recipes_pair_them(tmp_path, shared):
    """Lists made of the pairs' own texts and scores: each tie and each gap is accounted for."""
    pairs = read(str(shared / "data/ultrafeedback/scored.jsonl.gz")).groups
    rows = [
        {
            "instruction": f"{one.prompt[0].content} {two.prompt[0].content}",
            "completions": [
                {"response": side.turns[0].content, "overall_score": side.rating.score}
                for side in (*one.responses, *two.responses)
            ],
        }
        for one, two in zip(pairs[::2], pairs[1::2], strict=False)
    ]
    reading = read(jsonl(tmp_path / "d.jsonl", rows))
    converted = convert(reading.groups, reading.intake, "best-versus-worst", minimum_gap=1.0)
    gaps = [
        max(found) - min(found)
        for row in rows
        if (found := [one["overall_score"] for one in row["completions"]])
    ]
    assert len(converted.groups) == sum(gap >= 1 for gap in gaps)
    assert converted.intake.by_reason == {
        reason: count
        for reason, count in (
            ("gap below the minimum", sum(0 < gap < 1 for gap in gaps)),
            ("all responses rated equal", sum(gap == 0 for gap in gaps)),
        )
        if count
    }
    assert len(json.dumps(rows)) > 100_000
