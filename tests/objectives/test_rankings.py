"""Plackett-Luce, InfoNCA, NCA, EXO: losses of several responses to a prompt."""

import math
from dataclasses import replace
from functools import partial
from itertools import permutations
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.anchored import nca
from preftune.objectives.losses.logistic import dpo, exo
from preftune.objectives.losses.rankings import exo_scores, infonca, nca_scores, plackett_luce
from tests.objectives.groups import (
    by_response,
    few,
    ranked,
    rated,
    response_slopes,
    with_everything,
    with_ratios,
)
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    betas,
    check_central_difference,
    check_finite,
    check_golden,
    close,
    of_ratios,
    record,
    record_of_tokens,
    sure_pairs,
)

DTYPES = [torch.float32, torch.float64]
RATED: dict[str, Loss] = {"infonca": infonca, "nca_scores": nca_scores, "exo_scores": exo_scores}
LOSSES: dict[str, Loss] = {"plackett_luce": plackett_luce, **RATED}
ratios = st.lists(st.floats(-20.0, 20.0), min_size=1, max_size=6)
unlike = st.lists(st.floats(-20.0, 20.0), min_size=2, max_size=6, unique=True)
temperatures = st.floats(0.05, 5.0)


def in_order(values: list[float]) -> LogProbs:
    """A ranking in the order given."""
    return ranked((values, range(len(values))))


def best_only(logps: LogProbs) -> LogProbs:
    """Scores that put all of the target on the winners."""
    scores = torch.zeros(len(logps.group), dtype=logps.tokens.dtype)
    return replace(logps, score=scores.index_fill(0, logps.winner, 1e4))


def shares(values: list[float]) -> list[float]:
    return torch.tensor(values, dtype=torch.float64).softmax(0).tolist()


# --- Plackett-Luce ---


@pytest.mark.parametrize(
    ("rewards", "top_k", "loss", "slopes"),
    [
        ([0.0] * 3, 0, math.log(6), [-2 / 3, -1 / 6, 5 / 6]),
        ([0.0] * 4, 2, 2.484907, [-0.75, -0.416667, 0.583333, 0.583333]),
        ([1.0, 0.2, -0.5], 0, 0.917481, [-0.402078, -0.063149, 0.465227]),
        ([1.0, 0.2, -0.5], 1, 0.514295, None),
        ([1.0, 0.2, -0.5], 2, 0.917481, [-0.402078, -0.063149, 0.465227]),
    ],
)
@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_plackett_luce_worked(
    rewards: list[float], top_k: int, loss: float, slopes: list[float] | None, beta: float
) -> None:
    logps = in_order([reward / beta for reward in rewards])
    found = plackett_luce(logps, beta=beta, top_k=top_k)
    close(found.item(), loss, 1e-6)
    if slopes is not None:
        expected = [beta * slope for slope in slopes]
        torch.testing.assert_close(by_response(found, logps), expected, rtol=0, atol=1e-6)


@few
@given(unlike, betas, st.integers(0, 7), st.randoms())
def test_plackett_luce_is_its_definition(
    values: list[float], beta: float, top_k: int, dice: Random
) -> None:
    """Stage by stage: the best of those that remain. The order in the group does not matter."""
    places = list(range(len(values)))
    dice.shuffle(places)
    by_place = [beta * values[places.index(place)] for place in range(len(values))]
    stages = len(values) - 1 if top_k == 0 else min(top_k, len(values) - 1)
    expected = sum(-math.log(shares(by_place[stage:])[0]) for stage in range(stages))
    logps = ranked((values, places))
    found = plackett_luce(logps, beta=beta, top_k=top_k)
    close(found.item(), expected, 1e-8)
    close(sum(by_response(found, logps)), 0.0)


@few
@given(unlike, betas, st.floats(-10.0, 10.0))
def test_plackett_luce_ignores_what_depends_on_the_prompt(
    values: list[float], beta: float, more: float
) -> None:
    raised = in_order([value + more for value in values])
    torch.testing.assert_close(
        plackett_luce(raised, beta=beta), plackett_luce(in_order(values), beta=beta)
    )


def test_the_order_beyond_top_k_does_not_matter() -> None:
    values = [1.0, -2.0, 3.0, 0.5]
    first = plackett_luce(in_order(values), top_k=2)
    other = plackett_luce(ranked((values, [0, 1, 3, 2])), top_k=2)
    torch.testing.assert_close(first, other)
    assert plackett_luce(in_order(values)) != plackett_luce(ranked((values, [0, 1, 3, 2])))


@few
@given(sure_pairs, betas)
def test_plackett_luce_of_two_is_dpo(pair: Pair, beta: float) -> None:
    logps = replace(record(pair), rank=torch.tensor([0, 1]))
    torch.testing.assert_close(plackett_luce(logps, beta=beta), dpo(logps, beta=beta))


def test_plackett_luce_of_two_at_the_fixtures() -> None:
    expected = {"start": (0.69314718, -0.05, 0.05), "good": (0.40318605, -0.0331812, 0.0331812)}
    for fixture, golden in expected.items():
        logps = replace(record(FIXTURES[fixture]), rank=torch.tensor([0, 1]))
        check_golden(plackett_luce, logps, golden)


def test_tied_responses_are_not_compared_with_each_other() -> None:
    two = ranked(([3.0, -2.0], [0, 0]))
    assert plackett_luce(two).tolist() == [0.0]
    assert response_slopes(plackett_luce, two) == [0.0, 0.0]
    # Of three, each of the two tied best is chosen from itself and the one below: two DPO losses.
    three = ranked(([3.0, -2.0, 1.0], [0, 0, 1]))
    pairs = [record(of_ratios(3.0, 1.0)), record(of_ratios(-2.0, 1.0))]
    expected = sum(dpo(pair) for pair in pairs)
    torch.testing.assert_close(plackett_luce(three), expected)
    torch.testing.assert_close(plackett_luce(three, top_k=1), expected)  # both are in first place
    # Above two tied ones: one choice from three, and nothing between the two.
    below = plackett_luce(ranked(([3.0, -2.0, 1.0], [0, 1, 1])), beta=1.0)
    close(below.item(), -math.log(shares([3.0, -2.0, 1.0])[0]))


@few
@given(ratios, betas)
def test_top_1_is_infonca_of_the_best(values: list[float], beta: float) -> None:
    logps = in_order(values)
    scores = torch.zeros(len(values), dtype=torch.float64)
    scores[0] = 1e4
    torch.testing.assert_close(
        plackett_luce(logps, beta=beta, top_k=1),
        infonca(replace(logps, score=scores), beta=beta),
    )


# --- InfoNCA, NCA ---


@pytest.mark.parametrize(
    ("temperature", "contrast", "absolute"),
    [(1.0, 0.921166, 1.307605), (0.1, 0.751269, 1.231694)],
)
def test_nca_worked(temperature: float, contrast: float, absolute: float) -> None:
    logps = rated(([0.5, 0.1, -0.3], [1.0, 0.0, -1.0]))
    close(infonca(logps, beta=1.0, temperature=temperature).item(), contrast, 1e-6)
    close(nca_scores(logps, beta=1.0, temperature=temperature).item(), absolute, 1e-6)


@few
@given(unlike, st.lists(st.floats(-3.0, 3.0), min_size=6, max_size=6), betas, temperatures)
def test_slopes_are_the_closed_forms(
    values: list[float], scores: list[float], beta: float, temperature: float
) -> None:
    number = len(values)
    logps = rated((values, scores[:number]))
    rewards = torch.tensor(values, dtype=torch.float64) * beta
    targets = (torch.tensor(scores[:number], dtype=torch.float64) / temperature).softmax(0)
    expected = {
        "infonca": rewards.softmax(0) - targets,
        "nca_scores": rewards.sigmoid() / number - targets * (-rewards).sigmoid(),
    }
    for name, slopes in expected.items():
        loss = partial(RATED[name], beta=beta, temperature=temperature)
        torch.testing.assert_close(
            response_slopes(loss, logps), (beta * slopes).tolist(), rtol=1e-9, atol=1e-12
        )


@few
@given(unlike, st.floats(1.0, 10.0))
def test_only_nca_sees_the_log_probs_themselves(values: list[float], more: float) -> None:
    scores = [float(index) for index in range(len(values))]
    first = rated((values, scores))
    raised = rated(([value + more for value in values], scores))
    for name in ("infonca", "exo_scores"):
        torch.testing.assert_close(
            RATED[name](first, beta=0.1), RATED[name](raised, beta=0.1), rtol=1e-9, atol=1e-9
        )
    assert not torch.allclose(nca_scores(first, beta=0.1), nca_scores(raised, beta=0.1))


@few
@given(sure_pairs, betas)
def test_of_two_with_one_best_they_are_the_losses_of_pairs(pair: Pair, beta: float) -> None:
    logps = best_only(record(pair))
    torch.testing.assert_close(infonca(logps, beta=beta), dpo(logps, beta=beta))
    torch.testing.assert_close(nca_scores(logps, beta=beta), nca(logps, beta=beta))


def test_nca_of_tokens() -> None:
    close(nca_scores(best_only(record_of_tokens()), beta=0.1).item(), 1.369025594, 1e-8)


# --- EXO ---


@few
@given(sure_pairs, betas, st.floats(1e-4, 0.4), temperatures)
def test_exo_of_two_is_that_of_pairs(
    pair: Pair, beta: float, epsilon: float, temperature: float
) -> None:
    """With targets of 1 - epsilon and epsilon."""
    logps = record(pair)
    gap = temperature * math.log((1 - epsilon) / epsilon)
    logps = replace(logps, score=torch.tensor([gap, 0.0], dtype=torch.float64))
    torch.testing.assert_close(
        exo_scores(logps, beta=beta, temperature=temperature),
        exo(logps, beta=beta, epsilon=epsilon),
        rtol=1e-7,
        atol=1e-9,
    )


@few
@given(unlike, betas, temperatures)
def test_exo_is_a_divergence(values: list[float], beta: float, temperature: float) -> None:
    """Its slope is q (log q - log t - L); it is 0 where the rewards are the scores' own."""
    scores = values[::-1]
    logps = rated((values, scores))
    loss = partial(exo_scores, beta=beta, temperature=temperature)
    found = loss(logps)
    assert found.item() >= -1e-12
    q = (beta * torch.tensor(values, dtype=torch.float64)).log_softmax(0)
    t = (torch.tensor(scores, dtype=torch.float64) / temperature).log_softmax(0)
    slopes = beta * q.exp() * (q - t - found.item())
    torch.testing.assert_close(response_slopes(loss, logps), slopes.tolist(), rtol=1e-6, atol=1e-9)
    own = rated((values, [beta * temperature * value for value in values]))
    close(loss(own).item(), 0.0)


# --- all ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [2, 3, 5])
def test_at_the_start(number: int, dtype: torch.dtype) -> None:
    places = torch.arange(number)
    logps = replace(with_ratios([0.0] * number, dtype=dtype), rank=places, score=-places / 1.0)
    targets = torch.softmax(-places.double(), 0)
    expected = {
        "plackett_luce": math.log(math.factorial(number)),
        "infonca": math.log(number),
        "nca_scores": 2 * math.log(2),
        "exo_scores": (-math.log(number) - targets.log().mean()).item(),
    }
    for name, wanted in expected.items():
        loss = partial(LOSSES[name], temperature=1.0) if name in RATED else LOSSES[name]
        found = loss(logps)
        assert found.dtype == dtype
        assert found.shape == (1,)
        close(found.item(), wanted, 1e-6)
    slopes = response_slopes(partial(infonca, beta=0.3), logps)
    wanted = (0.3 * (1 / number - targets)).tolist()
    torch.testing.assert_close(slopes, wanted, rtol=0, atol=1e-6)
    slopes = response_slopes(partial(nca_scores, beta=0.3), logps)
    wanted = (0.15 * (1 / number - targets)).tolist()
    torch.testing.assert_close(slopes, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_groups_of_different_sizes_are_as_alone(name: str) -> None:
    parts: list[tuple[list[float], list[int]]] = [
        ([1.0, -2.0], [1, 0]),
        ([4.0, 0.5, -1.0, 2.0], [3, 0, 0, 1]),
        ([0.3], [0]),
        ([2.0, 2.0, -5.0], [2, 1, 0]),
    ]

    def made(groups: list[tuple[list[float], list[int]]]) -> LogProbs:
        logps = ranked(*groups)
        assert logps.rank is not None
        return replace(logps, score=-logps.rank.double())

    together = LOSSES[name](made(parts))
    assert together.shape == (4,)
    alone = torch.cat([LOSSES[name](made([part])) for part in parts])
    torch.testing.assert_close(together, alone)
    slopes = response_slopes(LOSSES[name], made(parts))
    separate = [slope for part in parts for slope in response_slopes(LOSSES[name], made([part]))]
    torch.testing.assert_close(slopes, separate, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_responses_does_not_matter(name: str) -> None:
    values, places = [4.0, 0.5, -1.0, 2.0], [3, 0, 0, 1]
    expected = LOSSES[name](with_both(values, places))
    for order in permutations(range(4)):
        other = with_both([values[index] for index in order], [places[index] for index in order])
        torch.testing.assert_close(LOSSES[name](other), expected)


def with_both(values: list[float], places: list[int]) -> LogProbs:
    logps = ranked((values, places))
    return replace(logps, score=-torch.tensor(places, dtype=torch.float64))


@pytest.mark.parametrize("name", [*LOSSES, "top_1"])
def test_responses_that_were_not_judged_are_left_out(name: str) -> None:
    logps = with_both([4.0, 0.5, -1.0, 2.0], [3, 0, 0, 1])
    assert logps.score is not None
    unjudged = replace(
        logps,
        rank=torch.tensor([-1, 0, 0, 1]),
        score=logps.score.index_fill(0, torch.tensor([0]), math.nan),
    )
    loss = LOSSES.get(name, partial(plackett_luce, top_k=1))
    torch.testing.assert_close(loss(unjudged), loss(with_both([0.5, -1.0, 2.0], [0, 0, 1])))
    assert response_slopes(loss, unjudged)[0] == 0
    assert response_slopes(loss, logps)[0] != 0
    nobody = replace(
        logps, rank=torch.full((4,), -1), score=torch.full((4,), math.nan, dtype=torch.float64)
    )
    assert loss(nobody).tolist() == [0.0]
    assert response_slopes(loss, nobody) == [0.0] * 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_log_ratios_stay_finite(name: str, dtype: torch.dtype) -> None:
    for values in ([1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [1e4, 1e4, 1e4]):
        logps = with_ratios(values, [1.0, 2.0], dtype=dtype)
        logps = replace(
            logps,
            rank=torch.tensor([0, 1, 2, 0, 1]),
            score=torch.tensor([1.0, 0.0, torch.nan, 10.0, -10.0], dtype=dtype),
        )
        check_finite(partial(LOSSES[name], beta=1.0), logps)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(values=unlike)
def test_gradient_is_the_central_difference(name: str, values: list[float]) -> None:
    logps = with_both(values, list(range(len(values))))
    check_central_difference(LOSSES[name], logps)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_missing_is_named(name: str) -> None:
    logps: LogProbs = record(FIXTURES["good"])
    word = "rank" if name == "plackett_luce" else "score"
    with pytest.raises(ValueError, match=f"needs `{word}`"):
        LOSSES[name](logps)
    with pytest.raises(ValueError, match="carry no reference"):
        LOSSES[name](replace(with_everything(FIXTURES["good"]), reference=None))


@pytest.mark.parametrize("top_k", [-1, 0.5, math.inf])
def test_top_k_is_a_whole_number(top_k: float) -> None:
    with pytest.raises(ValueError, match=r"top_k must be in the whole numbers of \[0, inf\)"):
        plackett_luce(in_order([1.0, 2.0]), top_k=top_k)


def test_a_response_to_another_prompt_is_no_member() -> None:
    logps = with_everything(FIXTURES["good"], FIXTURES["wrong"])
    tokens: Tensor = logps.tokens.detach().clone()
    tokens[logps.response % 3 == 2] -= 5.0
    for loss in LOSSES.values():
        assert torch.equal(loss(replace(logps, tokens=tokens)), loss(logps))
