import numpy as np

from preftune.checks.cases import cases
from preftune.checks.reference.sample import Sample
from preftune.records import (
    Group,
    Message,
    Rating,
    Relation,
    Response,
    TokenGroup,
    TokenResponse,
)


def group(prompt, texts, relations=(), ratings=()):
    ratings = ratings or [None] * len(texts)
    sides = tuple(
        Response((Message("assistant", text),), rating)
        for text, rating in zip(texts, ratings, strict=True)
    )
    return Group((Message("user", prompt),), sides, tuple(relations))


def tokens(group):
    """Each response's tokens are its letters."""
    sides = tuple(
        TokenResponse(np.array([ord(c) for c in r.turns[0].content], np.int32), np.ones(1, bool))
        for r in group.responses
    )
    return TokenGroup(np.array([1], np.int32), sides)


def drawn(rows, size):
    sample = Sample(size)
    for case in cases(rows):
        sample.see(case, tokens(case.group))
    return sample.drawn


def pairs(prompts):
    return [group(prompt, "ab", [Relation(0, 1)]) for prompt in prompts]


def letters(one):
    return [chr(response.ids[0]) for response in one.group.responses]


def test_the_same_prompts_are_drawn_whatever_the_order_of_the_rows():
    prompts = [f"prompt {n}" for n in range(200)]
    shuffled = list(np.random.default_rng(0).permutation(prompts))
    first = {prompts[one.row] for one in drawn(pairs(prompts), 30)}
    second = {shuffled[one.row] for one in drawn(pairs(shuffled), 30)}
    assert first == second
    assert len(first) == 30
    assert first != set(prompts[:30])


def test_every_prompt_has_its_turn_before_any_has_a_second():
    rows = pairs(["often"] * 100 + [f"prompt {n}" for n in range(20)])
    assert len({one.prompt for one in drawn(rows, 15)}) == 15
    found = drawn(rows, 40)
    assert len(found) == 40
    assert len({one.prompt for one in found}) == 21
    assert len(drawn(rows, 1000)) == 120
    assert [one.row for one in found] == sorted(one.row for one in found)


def test_pairs_are_drawn_with_chosen_first_and_responses_alone_where_nothing_was_compared():
    rows = [
        group("a", "xyz", [Relation(2, 0), Relation(1, 0)]),
        group("b", "g", ratings=[Rating(good=True)]),
        group("c", "b", ratings=[Rating(good=False)]),
        group("d", "u"),
        group("e", "tt", [Relation(0, 1, tie=True)]),
        group("f", ""),
        group("g", "lh", ratings=[Rating(score=1.0), Rating(score=4.0)]),
    ]
    found = {}
    for one in drawn(rows, 100):
        found.setdefault(one.row, []).append((one.pair, one.sides, letters(one)))
    both = ("chosen", "rejected")
    assert sorted(found[0]) == [(0, both, ["z", "x"]), (1, both, ["y", "x"])]
    assert found[1] == [(None, ("chosen",), ["g"])]
    assert found[2] == [(None, ("rejected",), ["b"])]
    assert found[3] == [(None, ("chosen",), ["u"])]
    assert found[4] == [(None, ("chosen",), ["t"])]
    assert 5 not in found
    assert found[6] == [(0, both, ["h", "l"])]


def test_an_empty_sample_draws_nothing():
    assert not drawn(pairs(["a", "b"]), 0)
