"""The other functions of the margin: robust DPO, hinge, EXO, DiscoPOP."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from preftune.objectives.losses.logistic import discopop, dpo, exo, hinge, robust_dpo
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
    pairs,
    record,
    slopes,
    strengths,
    sure_pairs,
    value,
)

DTYPES = [torch.float32, torch.float64]
LOSSES: dict[str, Loss] = {
    "robust_dpo": robust_dpo,
    "hinge": hinge,
    "exo": exo,
    "discopop": discopop,
}
epsilons = st.floats(1e-4, 0.45)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z))


def softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic.
GOLDEN: dict[str, dict[str, tuple[float, float, float]]] = {
    "robust_dpo": {
        "start": (0.69314718, -0.0625, 0.0625),
        "good": (0.31568605, -0.0456812, 0.0456812),
        "displaced": (0.31568605, -0.0456812, 0.0456812),
        "wrong": (0.89185524, -0.0699443, 0.0699443),
    },
    "hinge": {
        "start": (1.0, -0.1, 0.1),
        "good": (0.3, -0.1, 0.1),
        "displaced": (0.3, -0.1, 0.1),
        "wrong": (1.3, -0.1, 0.1),
    },
    "exo": {
        "start": (2.7612307, -0.172669, 0.172669),
        "good": (1.6572916, -0.137612, 0.137612),
        "displaced": (1.6572916, -0.137612, 0.137612),
        "wrong": (3.2865116, -0.176175, 0.176175),
    },
    "discopop": {
        "start": (0.84657359, 0.0392132, -0.0392132),
        "good": (0.70453202, -0.0350652, 0.0350652),
        "displaced": (0.70453202, -0.0350652, 0.0350652),
        "wrong": (0.78949474, -0.0106936, 0.0106936),
    },
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("name", LOSSES)
def test_golden_values(name: str, fixture: str, dtype: torch.dtype) -> None:
    """The defaults are the published settings: beta 0.1, epsilon 0.1 and 0.001; both 0.05."""
    check_golden(LOSSES[name], record(FIXTURES[fixture], dtype=dtype), GOLDEN[name][fixture])


@pytest.mark.parametrize(
    ("loss", "at_start", "slope"),
    [
        (partial(robust_dpo, beta=0.3, epsilon=0.2), math.log(2), -0.3 / (2 * 0.6)),
        (partial(hinge, beta=0.3), 1.0, -0.3),
        (
            partial(exo, beta=0.3, epsilon=1e-3),
            2.76123067,
            -0.3 / 4 * math.log((1 - 1e-3) / 1e-3),
        ),
        (partial(discopop, beta=0.3, tau=0.05), 0.84657359, 0.3 * 0.78426410),
    ],
    ids=LOSSES,
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_start(loss: Loss, at_start: float, slope: float, dtype: torch.dtype) -> None:
    for chosen, rejected in ((-30.0, -40.0), (-3.0, -200.0)):
        pair = Pair(chosen, rejected, chosen, rejected, 7, 4)
        check_golden(loss, record(pair, dtype=dtype), (at_start, slope, -slope))


def by_logit(name: str, z: float, setting: float) -> float:
    """The closed form of dL/dz."""
    if name == "robust_dpo":
        return -(sigmoid(-z) + setting / (1 - 2 * setting))
    if name == "hinge":
        return -1.0 if z < 1 else 0.0
    if name == "exo":
        best = math.log((1 - setting) / setting)
        return sigmoid(z) * sigmoid(-z) * (z - best)
    gate, tau = sigmoid(z / setting), setting
    moving = gate * sigmoid(-z / tau) / tau * (math.exp(-z) - softplus(-z))
    return moving - sigmoid(-z / tau) * sigmoid(-z) - gate * math.exp(-z)


def with_setting(name: str, beta: float, setting: float) -> Loss:
    return {
        "robust_dpo": partial(robust_dpo, beta=beta, epsilon=setting),
        "hinge": partial(hinge, beta=beta),
        "exo": partial(exo, beta=beta, epsilon=setting),
        "discopop": partial(discopop, beta=beta, tau=setting),
    }[name]


@pytest.mark.parametrize("name", LOSSES)
@few
@given(st.floats(-30, 30), betas, st.floats(0.01, 0.45))
def test_gradient_is_the_closed_form(name: str, z: float, beta: float, setting: float) -> None:
    assume(abs(z - 1) > 1e-6)
    chosen, rejected = slopes(with_setting(name, beta, setting), at_margin(z / beta))
    close(chosen, beta * by_logit(name, z, setting), 1e-8)
    assert rejected == -chosen


@pytest.mark.parametrize("name", LOSSES)
@fewer
@given(pairs, st.floats(0.01, 0.5), st.floats(0.2, 0.45))
def test_gradient_is_the_central_difference(
    name: str, pair: Pair, beta: float, setting: float
) -> None:
    assume(abs(abs(beta * pair.margin) - 1) > 1e-3)  # the kinks of the hinge
    check_central_difference(with_setting(name, beta, setting), record(pair))


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pairs, st.floats(0.01, 0.5), st.floats(0.01, 0.45))
def test_doubt_is_the_expectation_over_both_judgements(
    name: str, pair: Pair, beta: float, setting: float
) -> None:
    assume(abs(abs(beta * pair.margin) - 1) > 1e-6)
    check_doubt(with_setting(name, beta, setting), pair)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("robust_dpo", -1250.0, 11250.0),
        ("hinge", 0.0, 10001.0),
        ("exo", -math.log1p(-1e-3), -math.log(1e-3)),
        ("discopop", 0.0, 10000.0),
    ],
)
def test_extreme_margins(name: str, right: float, wrong: float, dtype: torch.dtype) -> None:
    """At +-1e4 logits; a pair that is right keeps no gradient, except where it never ends."""
    for margin, expected in ((1e4, right), (-1e4, wrong)):
        logps = record(at_margin(margin), dtype=dtype)
        loss: Callable[..., torch.Tensor] = LOSSES[name]
        check_finite(partial(loss, beta=1.0), logps)
        close(loss(logps, beta=1.0).item(), expected, 1e-6)
    check_finite(LOSSES[name], record(at_margin(1e4), at_margin(-1e4), dtype=dtype))
    both_ways = replace(at_margin(1e4), strength=0.9)
    check_finite(LOSSES[name], record(both_ways, dtype=dtype))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_without_a_reference_they_refuse(loss: Loss) -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        loss(replace(record(FIXTURES["good"]), reference=None))


# Robust DPO


@few
@given(pairs, betas)
def test_robust_dpo_without_flips_is_dpo(pair: Pair, beta: float) -> None:
    robust = partial(robust_dpo, beta=beta, epsilon=0.0)
    assert value(robust, pair) == value(partial(dpo, beta=beta), pair)
    assert slopes(robust, pair) == slopes(partial(dpo, beta=beta), pair)


@few
@given(sure_pairs, betas, st.floats(0.0, 0.45))
def test_over_random_flips_robust_dpo_is_dpo_on_average(
    pair: Pair, beta: float, epsilon: float
) -> None:
    loss = partial(robust_dpo, beta=beta, epsilon=epsilon)
    mean = (1 - epsilon) * value(loss, pair) + epsilon * value(loss, pair.swapped)
    close(mean, value(partial(dpo, beta=beta), pair))


@few
@given(sure_pairs, betas, st.floats(0.0, 0.45))
def test_robust_dpo_is_the_two_losses_of_its_paper(pair: Pair, beta: float, epsilon: float) -> None:
    z = beta * pair.margin
    expected = ((1 - epsilon) * softplus(-z) - epsilon * softplus(z)) / (1 - 2 * epsilon)
    close(value(partial(robust_dpo, beta=beta, epsilon=epsilon), pair), expected)


@pytest.mark.parametrize(("z", "expected"), [(1, 0.18826), (5, -0.61828), (50, -6.25)])
def test_robust_dpo_goes_below_zero_without_end(z: float, expected: float) -> None:
    loss = partial(robust_dpo, beta=1.0, epsilon=0.1)
    close(value(loss, at_margin(z)), expected, 1e-5)
    assert slopes(loss, at_margin(z))[0] <= -0.1 / 0.8


# Hinge


@few
@given(st.floats(-30, 30), betas)
def test_hinge_pulls_until_the_margin_is_there_and_no_further(z: float, beta: float) -> None:
    assume(abs(z - 1) > 1e-6)
    loss = partial(hinge, beta=beta)
    close(value(loss, at_margin(z / beta)), max(0.0, 1 - z))
    assert slopes(loss, at_margin(z / beta))[0] == (0.0 if z > 1 else -beta)


@few
@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0, 1), betas)
def test_hinge_is_convex(one: float, other: float, share: float, beta: float) -> None:
    loss = partial(hinge, beta=beta)
    between = value(loss, at_margin(share * one + (1 - share) * other))
    chord = share * value(loss, at_margin(one)) + (1 - share) * value(loss, at_margin(other))
    assert between <= chord + 1e-9


@few
@given(st.floats(-30, 30), betas)
def test_dpo_is_a_hinge_at_zero_with_its_corner_rounded(z: float, beta: float) -> None:
    """softplus(-z) - max(0, -z) lies in (0, ln 2]."""
    corner = value(partial(hinge, beta=beta), at_margin((z + 1) / beta))
    gap = value(partial(dpo, beta=beta), at_margin(z / beta)) - corner
    assert 0 < gap <= math.log(2) + 1e-9


@few
@given(st.floats(0.51, 0.99), st.floats(0.01, 3))
def test_the_hinge_aims_at_the_same_margin_whatever_the_doubt(strength: float, step: float) -> None:
    loss = partial(hinge, beta=1.0)
    at_one = value(loss, replace(at_margin(1.0), strength=strength))
    for margin in (1.0 - step, 1.0 + step):
        assert value(loss, replace(at_margin(margin), strength=strength)) > at_one


def test_three_losses_of_one_pair_tell_each_other_apart() -> None:
    pair = at_margin(6.0)
    close(value(dpo, pair), 0.437488, 1e-6)
    close(slopes(dpo, pair)[0], -0.035434, 1e-6)
    close(value(hinge, pair), 0.4)
    close(slopes(hinge, pair)[0], -0.1)


# EXO


@few
@given(st.floats(-30, 30), epsilons)
def test_exo_is_the_divergence_from_policy_to_judge(z: float, epsilon: float) -> None:
    model = logsigmoid(torch.tensor([z, -z], dtype=torch.float64))
    judge = torch.tensor([1 - epsilon, epsilon], dtype=torch.float64).log()
    loss = value(partial(exo, beta=1.0, epsilon=epsilon), at_margin(z))
    close(loss, (model.exp() * (model - judge)).sum().item())
    assert loss >= -1e-12


@few
@given(st.floats(-30, 30), epsilons)
def test_the_other_direction_is_label_smoothing_less_a_constant(z: float, epsilon: float) -> None:
    """KL(judge || policy) = cDPO - H(epsilon), and it is not EXO."""
    model = logsigmoid(torch.tensor([z, -z], dtype=torch.float64))
    judge = torch.tensor([1 - epsilon, epsilon], dtype=torch.float64)
    entropy = -(judge * judge.log()).sum()
    other = (judge * (judge.log() - model)).sum().item()
    smoothed = value(partial(dpo, beta=1.0, label_smoothing=epsilon), at_margin(z))
    close(other, smoothed - entropy.item())


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 0.3])
def test_exo_is_zero_where_policy_and_judge_agree(epsilon: float) -> None:
    loss = partial(exo, beta=0.1, epsilon=epsilon)
    best = math.log((1 - epsilon) / epsilon)
    assert epsilon != 1e-3 or math.isclose(best, 6.90675, abs_tol=1e-5)
    close(value(loss, at_margin(best / 0.1)), 0.0)
    for away, sign in ((-1.0, -1.0), (0.0, 0.0), (1.0, 1.0)):
        slope, _ = slopes(loss, at_margin((best + away) / 0.1))
        assert (abs(slope) > 1e-9) * math.copysign(1, slope) == sign


@few
@given(strengths, epsilons, st.floats(0.01, 2))
def test_doubt_scales_the_logit_that_exo_aims_at(
    strength: float, epsilon: float, away: float
) -> None:
    best = (2 * strength - 1) * math.log((1 - epsilon) / epsilon)
    loss = partial(exo, beta=1.0, epsilon=epsilon)
    for offset, sign in ((-away, -1), (away, 1)):
        slope, _ = slopes(loss, replace(at_margin(best + offset), strength=strength))
        assert slope * sign > 0
    assert abs(slopes(loss, replace(at_margin(best), strength=strength))[0]) < 1e-9


# DiscoPOP


@pytest.mark.parametrize(
    ("z", "expected", "slope"),
    [(0.0, 0.846574, 0.784264), (0.072006, 0.878290, 0.0), (-0.118570, 0.785924, 0.0)],
)
def test_the_hill_and_the_valley_of_discopop(z: float, expected: float, slope: float) -> None:
    """It starts on the slope between them, which leads to a smaller margin."""
    loss = partial(discopop, beta=1.0, tau=0.05)
    close(value(loss, at_margin(z)), expected, 1e-6)
    assert abs(slopes(loss, at_margin(z))[0] - slope) < 2e-5
    if slope == 0.0:
        side = 1 if z > 0 else -1  # a hill where z is positive
        for away in (-0.01, 0.01):
            assert (value(loss, at_margin(z + away)) - expected) * side < 0


@few
@given(st.floats(3, 30))
def test_far_from_zero_discopop_is_exponential_or_logistic(z: float) -> None:
    loss = partial(discopop, beta=1.0, tau=0.05)
    assert math.isclose(value(loss, at_margin(z)), math.exp(-z), rel_tol=1e-8)
    close(value(loss, at_margin(-z)), softplus(z))
