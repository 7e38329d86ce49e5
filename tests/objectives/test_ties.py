import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.ties import (
    davidson,
    davidson_tie,
    davidson_win,
    rao_kupper,
    rao_kupper_tie,
    rao_kupper_win,
)
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    at_margin,
    betas,
    check_central_difference,
    check_doubt,
    check_finite,
    check_golden,
    close,
    few,
    fewer,
    gradients,
    pairs,
    record,
    sure_pairs,
    value,
)

DTYPES = [torch.float32, torch.float64]
LOSSES: dict[str, Callable[..., Tensor]] = {"rao_kupper": rao_kupper, "davidson": davidson}
SURPRISES = {
    "rao_kupper": (rao_kupper_win, rao_kupper_tie),
    "davidson": (davidson_win, davidson_tie),
}
LIMIT = {"rao_kupper": 1.0, "davidson": 0.0}
"""Where ties become impossible."""
above_limit = st.floats(0.01, 10.0)


def as_tie(logps: LogProbs) -> LogProbs:
    return replace(logps, tie=torch.ones(len(logps.winner), dtype=torch.bool))


def of_tie(loss: Loss) -> Loss:
    """The loss of the same pairs, had they been judged equally good."""
    return lambda logps: loss(as_tie(logps))


# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic; the defaults.
GOLDEN: dict[str, tuple[Loss, dict[str, tuple[float, float, float]]]] = {
    "rao_kupper win": (
        rao_kupper,
        {
            "start": (1.3862944, -0.075, 0.075),
            "good": (0.91218468, -0.0598354, 0.0598354),
            "displaced": (0.91218468, -0.0598354, 0.0598354),
            "wrong": (1.6193044, -0.0801964, 0.0801964),
        },
    ),
    "rao_kupper tie": (
        of_tie(rao_kupper),
        {
            "start": (0.69314718, 0.0, 0.0),
            "good": (0.78453, 0.0259626, -0.0259626),
            "displaced": (0.78453, 0.0259626, -0.0259626),
            "wrong": (0.71000621, -0.0112286, 0.0112286),
        },
    ),
    "davidson win": (
        davidson,
        {
            "start": (1.3862944, -0.05, 0.05),
            "good": (1.0667643, -0.0413382, 0.0413382),
            "displaced": (1.0667643, -0.0413382, 0.0413382),
            "wrong": (1.5419141, -0.053743, 0.053743),
        },
    ),
    "davidson tie": (
        of_tie(davidson),
        {
            "start": (0.69314718, 0.0, 0.0),
            "good": (0.72361713, 0.00866176, -0.00866176),
            "displaced": (0.72361713, 0.00866176, -0.00866176),
            "wrong": (0.69876692, -0.00374298, 0.00374298),
        },
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str, fixture: str, dtype: torch.dtype) -> None:
    loss, golden = GOLDEN[name]
    check_golden(loss, record(FIXTURES[fixture], dtype=dtype), golden[fixture])


@pytest.mark.parametrize(
    ("name", "win", "loss", "tie"),
    [
        ("rao_kupper", 0.550177, 0.083279, 0.366544),
        ("davidson", 0.431663, 0.117642, 0.450695),
    ],
)
def test_probabilities_at_a_lead_of_1_3_logits(
    name: str, win: float, loss: float, tie: float
) -> None:
    ahead, behind = at_margin(13.0), at_margin(-13.0)
    close(math.exp(-value(LOSSES[name], ahead)), win, 1e-6)
    close(math.exp(-value(LOSSES[name], behind)), loss, 1e-6)
    close(math.exp(-value(of_tie(LOSSES[name]), ahead)), tie, 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "nu", "win", "pull", "tie"),
    [
        # P(win) = 1 / (1 + nu), and its slope by d is P(no win).
        ("rao_kupper", 4.0, math.log(5), 0.8, -math.log(3 / 5)),
        # P(win) = 1 / (2 + 2 nu), and its slope by d is one half.
        ("davidson", 4.0, math.log(10), 0.5, -math.log(8 / 10)),
    ],
)
def test_at_the_start(  # noqa: PLR0917
    name: str, nu: float, win: float, pull: float, tie: float, dtype: torch.dtype
) -> None:
    logps = record(Pair(-30, -200, -30, -200, 7, 4), dtype=dtype)
    loss = partial(LOSSES[name], beta=0.3, nu=nu)
    check_golden(loss, logps, (win, -0.3 * pull, 0.3 * pull))
    check_golden(of_tie(loss), logps, (tie, 0.0, 0.0))


def probabilities(name: str, d: float, nu: float) -> tuple[float, float, float]:
    """Win, loss and tie as the models are written."""
    if name == "davidson":
        total = math.exp(d / 2) + math.exp(-d / 2) + 2 * nu
        return math.exp(d / 2) / total, math.exp(-d / 2) / total, 2 * nu / total
    win, loss = 1 / (1 + nu * math.exp(-d)), 1 / (1 + nu * math.exp(d))
    return win, loss, (nu**2 - 1) * win * loss


@pytest.mark.parametrize("name", LOSSES)
@few
@given(st.floats(-30, 30), above_limit)
def test_outcomes_are_those_of_the_model_and_sum_to_one(name: str, d: float, above: float) -> None:
    nu = LIMIT[name] + above
    loss = partial(LOSSES[name], beta=0.1, nu=nu)
    ahead, behind = at_margin(d / 0.1), at_margin(-d / 0.1)
    win, defeat, tie = probabilities(name, d, nu)
    found = [value(loss, ahead), value(loss, behind), value(of_tie(loss), ahead)]
    for surprise, probability in zip(found, (win, defeat, tie), strict=True):
        close(surprise, -math.log(probability), 1e-8)
    close(sum(math.exp(-surprise) for surprise in found), 1.0)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(st.floats(-30, 30), above_limit, betas)
def test_gradients_are_the_closed_forms(name: str, d: float, above: float, beta: float) -> None:
    nu = LIMIT[name] + above
    win, defeat, tie = probabilities(name, d, nu)
    if name == "davidson":  # d/dd log P(win) = P(loss) + P(tie) / 2
        by_win, by_tie = -(defeat + tie / 2), (win - defeat) / 2
    else:  # d/dd log P(win) = 1 - P(win)
        by_win, by_tie = -(1 - win), win - defeat
    loss = partial(LOSSES[name], beta=beta, nu=nu)
    for observed, expected in ((loss, by_win), (of_tie(loss), by_tie)):
        logps = record(at_margin(d / beta))
        (chosen,), (rejected,) = gradients(observed(logps), logps)
        close(chosen, beta * expected)
        close(rejected, -beta * expected)


@pytest.mark.parametrize("name", LOSSES)
@fewer
@given(pairs, st.floats(0.1, 5.0), st.floats(0.01, 0.5))
def test_gradient_is_the_central_difference(
    name: str, pair: Pair, above: float, beta: float
) -> None:
    loss = partial(LOSSES[name], beta=beta, nu=LIMIT[name] + above)
    check_central_difference(loss, record(pair))
    check_central_difference(of_tie(loss), record(pair))


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pairs, above_limit, betas)
def test_doubt_is_the_expectation_over_both_judgements(
    name: str, pair: Pair, above: float, beta: float
) -> None:
    loss = partial(LOSSES[name], beta=beta, nu=LIMIT[name] + above)
    check_doubt(loss, pair)
    # A tie is the same both ways round, so strength says nothing of it.
    close(value(of_tie(loss), pair), value(of_tie(loss), replace(pair, strength=1.0)))
    close(value(of_tie(loss), pair), value(of_tie(loss), pair.swapped))


@pytest.mark.parametrize("name", LOSSES)
@few
@given(st.floats(0.1, 200.0), above_limit)
def test_a_tie_pulls_the_margin_to_zero(name: str, margin: float, above: float) -> None:
    loss = of_tie(partial(LOSSES[name], nu=LIMIT[name] + above))
    slopes = []
    for sign in (1, 0, -1):
        logps = record(at_margin(sign * margin))
        (chosen,), _ = gradients(loss(logps), logps)
        slopes.append(chosen)
    assert slopes[0] > 0
    close(slopes[0], -slopes[2])
    assert abs(slopes[1]) < 1e-15


@pytest.mark.parametrize("name", LOSSES)
def test_every_relation_has_the_loss_of_what_was_observed(name: str) -> None:
    batch = [FIXTURES["good"], FIXTURES["wrong"], FIXTURES["good"], FIXTURES["start"]]
    tie = torch.tensor([True, False, False, True])
    losses = LOSSES[name](replace(record(*batch), tie=tie))
    alone = [
        value(of_tie(LOSSES[name]) if tied else LOSSES[name], pair)
        for pair, tied in zip(batch, tie.tolist(), strict=True)
    ]
    torch.testing.assert_close(losses.tolist(), alone, rtol=0, atol=1e-12)
    none = replace(record(*batch), tie=torch.zeros(4, dtype=torch.bool))
    assert torch.equal(LOSSES[name](none), LOSSES[name](record(*batch)))


# Without ties


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pairs, betas)
def test_towards_the_limit_a_win_is_dpo(name: str, pair: Pair, beta: float) -> None:
    """The limit itself is refused: a tie would be infinitely surprising."""
    loss = partial(LOSSES[name], beta=beta, nu=LIMIT[name] + 1e-9)
    # Davidson's ties cost a win at most log(1 + nu), nearly so where d is 0.
    close(value(loss, pair), value(partial(dpo, beta=beta), pair), 1e-8)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(st.floats(-1e4, 1e4))
def test_at_the_limit_only_wins_are_possible(name: str, d: float) -> None:
    win, tie = SURPRISES[name]
    lead = torch.tensor([d], dtype=torch.float64)
    close(win(lead, LIMIT[name]).item(), -logsigmoid(lead).item(), 1e-12)
    assert tie(lead, LIMIT[name]).item() == math.inf


@pytest.mark.parametrize("name", LOSSES)
@few
@given(sure_pairs, above_limit, st.floats(0.01, 10))
def test_the_more_ties_are_expected_the_more_surprising_is_a_win(
    name: str, pair: Pair, above: float, more: float
) -> None:
    few_ties, many = LIMIT[name] + above, LIMIT[name] + above + more
    win = [value(partial(LOSSES[name], nu=nu), pair) for nu in (few_ties, many)]
    tie = [value(of_tie(partial(LOSSES[name], nu=nu)), pair) for nu in (few_ties, many)]
    assert win[0] <= win[1]
    assert tie[0] > tie[1]


# Range


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_margins(name: str, dtype: torch.dtype) -> None:
    loss = partial(LOSSES[name], beta=1.0)
    for margin in (1e4, -1e4):
        for strength in (1.0, 0.9):
            logps = record(replace(at_margin(margin), strength=strength), dtype=dtype)
            check_finite(loss, logps)
            check_finite(of_tie(loss), logps)
            mixed = record(at_margin(margin), at_margin(margin), dtype=dtype)
            check_finite(loss, replace(mixed, tie=torch.tensor([True, False])))
    right, wrong = (record(at_margin(margin), dtype=dtype) for margin in (1e4, -1e4))
    close(loss(right).item(), 0.0, 1e-6)
    # The ways to lose 1e4 logits: ln 3 more with Rao and Kupper.
    close(loss(wrong).item(), 1e4 + (math.log(3) if name == "rao_kupper" else 0.0), 1e-6)
    # A tie in spite of a lead d: with Davidson it is half as surprising.
    expected = 1e4 + math.log(3) - math.log(8) if name == "rao_kupper" else 5e3 - math.log(2)
    for logps in (right, wrong):
        close(of_tie(loss)(logps).item(), expected, 1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_small_loss_keeps_its_digits_in_float32(name: str) -> None:
    exact, rounded = (
        LOSSES[name](record(at_margin(20.0), dtype=dtype), beta=1.0, nu=LIMIT[name] + 1e-3)
        for dtype in (torch.float64, torch.float32)
    )
    assert math.isclose(rounded.item(), exact.item(), abs_tol=2e-7)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_without_a_reference_they_refuse(loss: Loss) -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        loss(replace(record(FIXTURES["good"]), reference=None))
