from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.records import Rating, Relation, TokenGroup, TokenResponse
from preftune.rendering.truncation import (
    END_CUT,
    JUDGEMENT_DROPPED,
    POLICIES,
    PROMPT_CUT,
    RESPONSE_CUT,
    Policy,
    distinct,
    fit,
)


def group(
    prompt: list[int], *responses: list[int], relations: tuple[Relation, ...] | None = None
) -> TokenGroup:
    return TokenGroup(
        np.array(prompt, np.int32),
        tuple(TokenResponse(np.array(r, np.int32), np.ones(len(r), bool)) for r in responses),
        (Relation(0, 1),) if relations is None else relations,
    )


def ids(fitted: TokenGroup | None) -> tuple[list[int], list[list[int]]]:
    assert fitted is not None
    return fitted.prompt_ids.tolist(), [r.ids.tolist() for r in fitted.responses]


def test_a_group_within_the_limit_is_untouched() -> None:
    whole = group([1, 5], [6, 7], [8])
    for policy in POLICIES:
        fitted = fit(whole, limit=4, policy=policy, keep=1)
        assert (fitted.group, fitted.reason, fitted.cuts) == (whole, "", ())


def test_drop_leaves_the_group_out() -> None:
    fitted = fit(group([1, 5], [6, 7, 9], [8]), limit=4, policy="drop", keep=1)
    assert (fitted.group, fitted.reason, fitted.cuts) == (None, "over 4 tokens", ())
    assert fit(group([1] * 9, [2], [3]), limit=1024, policy="drop", keep=0).group is not None
    over = fit(group([1] * 1024, [2], [3]), limit=1024, policy="drop", keep=0)
    assert over.reason == "over 1,024 tokens"


def test_prompt_left_keeps_bos_and_the_prompts_end_and_all_of_the_responses() -> None:
    whole = group([1, 10, 11, 12, 13], [6, 7, 9], [8])
    fitted = fit(whole, limit=6, policy="prompt-left", keep=1)
    assert ids(fitted.group) == ([1, 12, 13], [[6, 7, 9], [8]])
    assert fitted.cuts == (PROMPT_CUT,)
    without_bos = fit(whole, limit=6, policy="prompt-left", keep=0)
    assert ids(without_bos.group)[0] == [11, 12, 13]


def test_prompt_left_never_leaves_bos_alone() -> None:
    whole = group([1, 10, 11], [6, 7, 9], [8])
    assert ids(fit(whole, limit=5, policy="prompt-left", keep=1).group)[0] == [1, 11]
    fitted = fit(whole, limit=4, policy="prompt-left", keep=1)
    assert (fitted.group, fitted.reason) == (None, "response over 4 tokens")


def test_response_cuts_both_sides_to_the_same_length_and_counts_lost_ends() -> None:
    whole = group([1, 5], [6, 7, 8, 9], [6, 8, 9, 9, 9])
    fitted = fit(whole, limit=4, policy="response", keep=1)
    assert ids(fitted.group) == ([1, 5], [[6, 7], [6, 8]])
    assert fitted.cuts == (RESPONSE_CUT, END_CUT, END_CUT)
    one = fit(group([1, 5], [6, 7], [6, 8, 9]), limit=4, policy="response", keep=1)
    assert one.cuts == (RESPONSE_CUT, END_CUT)


def test_a_prompt_that_leaves_no_room_is_left_out() -> None:
    fitted = fit(group([1, 5, 6, 7], [6], [8]), limit=4, policy="response", keep=1)
    assert (fitted.group, fitted.reason) == (None, "prompt over 4 tokens")


def test_sides_that_differ_only_in_what_is_cut_are_left_out() -> None:
    fitted = fit(group([1], [6, 7, 8], [6, 7, 9]), limit=3, policy="response", keep=1)
    assert (fitted.group, fitted.reason, fitted.cuts) == (None, "identical after truncation", ())


def test_a_response_whose_answer_is_cut_away_has_nothing_to_train() -> None:
    context = TokenResponse(np.array([4, 5, 6], np.int32), np.array([False, False, True]))
    whole = TokenGroup(np.array([1], np.int32), (context,))
    assert fit(whole, limit=3, policy="response", keep=1).reason == "nothing to train"


def test_identical_sides_say_nothing() -> None:
    assert distinct(group([1], [6, 7], [6, 7]), "rendering").reason == "identical after rendering"
    assert distinct(group([1], [6, 7], [6, 8]), "rendering").group is not None
    assert distinct(group([1], [6], [], relations=()), "rendering").reason == "nothing to train"


def test_equal_tokens_of_which_others_are_trained_are_not_identical() -> None:
    sides = [TokenResponse(np.array([4, 5], np.int32), np.array(m)) for m in ([1, 0], [0, 1])]
    sides = [TokenResponse(side.ids, side.trained.astype(bool)) for side in sides]
    whole = TokenGroup(np.array([1], np.int32), tuple(sides), (Relation(0, 1),))
    assert distinct(whole, "rendering").group is not None


def test_a_ranking_loses_only_the_judgements_between_identical_responses() -> None:
    relations = (Relation(0, 1), Relation(0, 2), Relation(1, 2))
    fitted = distinct(group([1], [6], [7], [7], relations=relations), "rendering")
    assert fitted.group is not None
    assert fitted.group.relations == relations[:2]
    assert fitted.cuts == (JUDGEMENT_DROPPED,)


def rated(whole: TokenGroup, *ratings: Rating | None) -> TokenGroup:
    responses = zip(whole.responses, ratings, strict=True)
    return replace(whole, responses=tuple(replace(one, rating=given) for one, given in responses))


@pytest.mark.parametrize("relations", [(), (Relation(1, 0),)])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Rating(rank=0), Rating(rank=1)),
        (Rating(score=2.0), Rating(score=1.0)),
        (Rating(good=True), Rating(good=False)),
    ],
)
def test_the_same_tokens_rated_differently_are_left_out(
    one: Rating, other: Rating, relations: tuple[Relation, ...]
) -> None:
    whole = group([1], [6], [7, 8], [7, 9], relations=relations)
    whole = rated(whole, one, one, other)
    assert fit(whole, limit=3, policy="response", keep=1).group is not None
    cut = fit(whole, limit=2, policy="response", keep=1)
    assert (cut.group, cut.reason) == (None, "identical after truncation")


@pytest.mark.parametrize("rating", [Rating(rank=1), Rating(score=2.0), None])
def test_the_same_tokens_rated_alike_or_not_at_all_stay(rating: Rating | None) -> None:
    whole = rated(group([1], [6], [7], [7], relations=()), Rating(rank=0), rating, rating)
    assert distinct(whole, "rendering").group is not None
    half = rated(group([1], [6], [7], [7], relations=()), Rating(rank=0), Rating(rank=1), None)
    assert distinct(half, "rendering").group is not None


lengths = st.integers(1, 12)


@pytest.mark.parametrize("policy", POLICIES)
@given(prompt=lengths, sides=st.lists(lengths, min_size=1, max_size=4), limit=st.integers(2, 20))
def test_what_is_used_is_within_the_limit_and_treats_every_response_alike(
    policy: Policy, prompt: int, sides: list[int], limit: int
) -> None:
    responses = [[100 * k + i for i in range(n)] for k, n in enumerate(sides, 1)]
    whole = group(list(range(prompt)), *responses, relations=())
    fitted = fit(whole, limit=limit, policy=policy, keep=1)
    assert (fitted.group is None) == bool(fitted.reason)
    if fitted.group is None:
        return
    kept_prompt, kept = ids(fitted.group)
    assert len(kept_prompt) + max(map(len, kept)) <= limit
    longest = max(map(len, kept))
    for before, after in zip(responses, kept, strict=True):
        assert after == before[:longest]
    assert kept_prompt[0] == 0
    assert kept_prompt[1:] == list(range(prompt))[prompt - len(kept_prompt) + 1 :]
    assert bool(fitted.cuts) == (prompt + max(sides) > limit)
