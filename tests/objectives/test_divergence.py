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
from preftune.objectives.losses.divergence import (
    STEEPEST,
    alpha_divergence_reward,
    alpha_score,
    dpo_alpha_divergence,
    dpo_forward_kl,
    dpo_jensen_shannon,
    forward_kl_reward,
    jensen_shannon_reward,
    jensen_shannon_score,
)
from preftune.objectives.losses.logistic import dpo
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    check_central_difference,
    check_doubt,
    check_finite,
    check_golden,
    close,
    few,
    fewer,
    of_ratios,
    record,
    slopes,
    value,
)

DTYPES = [torch.float32, torch.float64]
LOSSES: dict[str, Callable[..., Tensor]] = {
    "forward KL": dpo_forward_kl,
    "Jensen-Shannon": dpo_jensen_shannon,
    "alpha": dpo_alpha_divergence,
}
SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "forward KL": partial(alpha_score, alpha=1.0),
    "Jensen-Shannon": jensen_shannon_score,
    "alpha": partial(alpha_score, alpha=0.5),
}
ratios = st.floats(-10.0, 10.0)
betas = st.floats(0.01, 1.0)
alphas = st.floats(0.01, 1.0)

# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic; beta 0.1.
GOLDEN: dict[str, dict[str, tuple[float, float, float]]] = {
    "forward KL": {
        "start": (0.69314718, -0.05, 0.05),
        "good": (3.6339241e-7, -4.91798e-9, 5.39322e-6),
        "displaced": (0.0, 0.0, 0.0),
        "wrong": (1.1046015, -0.494074, 0.0245985),
    },
    "Jensen-Shannon": {
        "start": (0.69314718, -0.025, 0.025),
        "good": (0.4786325, -0.00453412, 0.0377824),
        "displaced": (0.40479934, -0.0317102, 0.0332874),
        "wrong": (0.78793661, -0.0480226, 0.0146632),
    },
    "alpha": {
        "start": (0.69314718, -0.05, 0.05),
        "good": (0.089972912, -0.00316538, 0.104823),
        "displaced": (3.1497157e-13, -1.4116e-13, 4.67459e-12),
        "wrong": (0.92645598, -0.164197, 0.0366372),
    },
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("name", LOSSES)
def test_golden_values(name: str, fixture: str, dtype: torch.dtype) -> None:
    # In float32 a log-prob of -60 is known to 4e-6 nats, and the slope multiplies that.
    small = 1e-6 if dtype == torch.float64 else 1e-5
    check_golden(LOSSES[name], record(FIXTURES[fixture], dtype=dtype), GOLDEN[name][fixture], small)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "constant", "expected"),
    [
        ("forward KL", 1.0, (-7.389056, -2.718282, -1, -0.367879, -0.135335)),
        ("Jensen-Shannon", 0.0, (-1.433781, -0.620115, 0, 0.379885, 0.566219)),
        ("alpha", 0.0, (-3.436564, -1.297443, 0, 0.786939, 1.264241)),
    ],
)
def test_scores_are_the_derivatives_of_their_divergences(
    name: str, constant: float, expected: tuple[float, ...]
) -> None:
    """f'(u) at log u = -2 ... 2; forward KL with the constant that makes it 0 at the reference."""
    scores = SCORES[name](tensor(-2, -1, 0, 1, 2)) - constant
    torch.testing.assert_close(scores, tensor(*expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "slope"), [("forward KL", 1.0), ("Jensen-Shannon", 0.5), ("alpha", 1.0)]
)
def test_at_the_start(name: str, slope: float, dtype: torch.dtype) -> None:
    zero = torch.zeros(1, dtype=dtype, requires_grad=True)
    score = SCORES[name](zero)
    (by_ratio,) = torch.autograd.grad(score.sum(), zero)
    close(score.item(), 0.0, 1e-7)
    close(by_ratio.item(), slope, 1e-7)
    logps = record(Pair(-30, -200, -30, -200, 7, 4), dtype=dtype)
    loss = partial(LOSSES[name], beta=0.3)
    check_golden(loss, logps, (math.log(2), -0.3 * slope / 2, 0.3 * slope / 2))


def exact(name: str, ratio: float, alpha: float) -> tuple[float, float]:
    """Score and its slope by the log-ratio, as the paper's table has them."""
    if name == "Jensen-Shannon":
        return -math.log1p(math.exp(-ratio)), 1 / (1 + math.exp(ratio))
    alpha = 1.0 if name == "forward KL" else alpha
    return (1 - math.exp(-alpha * ratio)) / alpha, math.exp(-alpha * ratio)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(ratios, ratios, betas, alphas)
def test_loss_and_gradient_are_the_closed_forms(
    name: str, up: float, down: float, beta: float, alpha: float
) -> None:
    loss = partial(LOSSES[name], beta=beta, **({"alpha": alpha} if name == "alpha" else {}))
    (chosen, by_up), (rejected, by_down) = exact(name, up, alpha), exact(name, down, alpha)
    logit = tensor(beta * (chosen - rejected))
    pull = beta * (-logit).sigmoid().item()
    close(value(loss, of_ratios(up, down)), -logsigmoid(logit).item())
    by_chosen, by_rejected = slopes(loss, of_ratios(up, down))
    close(by_chosen, -pull * by_up)
    close(by_rejected, pull * by_down)


@pytest.mark.parametrize("name", LOSSES)
@fewer
@given(st.floats(-4, 4), st.floats(-4, 4), betas, st.floats(0.501, 1.0))
def test_gradient_is_the_central_difference_and_doubt_the_expectation(
    name: str, up: float, down: float, beta: float, strength: float
) -> None:
    loss = partial(LOSSES[name], beta=beta)
    pair = replace(of_ratios(up, down), strength=strength)
    check_central_difference(loss, record(pair), step=1e-5)
    check_doubt(loss, pair)


# Reductions


@few
@given(ratios, ratios, betas)
def test_the_score_log_u_is_dpo(up: float, down: float, beta: float) -> None:
    """Reverse KL needs no function of its own: its score is the log-ratio."""
    loss = -logsigmoid(beta * (tensor(up) - tensor(down))).item()
    close(value(partial(dpo, beta=beta), of_ratios(up, down)), loss)


@few
@given(ratios, ratios, betas)
def test_towards_alpha_0_it_is_dpo(up: float, down: float, beta: float) -> None:
    """(1 - exp(-alpha t)) / alpha = t - alpha t^2 / 2 + ...: ten times nearer for a tenth."""
    pair, plain = of_ratios(up, down), partial(dpo, beta=beta)
    near = partial(dpo_alpha_divergence, beta=beta, alpha=1e-9)
    close(value(near, pair), value(plain, pair), 1e-6)
    assert slopes(near, pair) == pytest.approx(slopes(plain, pair), abs=1e-6)
    distances = [
        alpha_score(tensor(up), alpha).item() - tensor(up).item() for alpha in (1e-3, 1e-4)
    ]
    assert distances[0] == pytest.approx(-1e-3 * up**2 / 2, rel=0.01, abs=1e-9)
    assert distances[1] == pytest.approx(-1e-4 * up**2 / 2, rel=0.01, abs=1e-9)


@few
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), betas)
def test_at_alpha_1_it_is_forward_kl(up: float, down: float, beta: float) -> None:
    one, other = (
        partial(dpo_alpha_divergence, beta=beta, alpha=1.0),
        partial(dpo_forward_kl, beta=beta),
    )
    assert value(one, of_ratios(up, down)) == value(other, of_ratios(up, down))
    assert slopes(one, of_ratios(up, down)) == slopes(other, of_ratios(up, down))


@few
@given(st.floats(-200, -40), st.floats(-200, -40), betas)
def test_far_below_the_reference_jensen_shannon_is_dpo(up: float, down: float, beta: float) -> None:
    pair = of_ratios(up, down)
    close(value(partial(dpo_jensen_shannon, beta=beta), pair), value(partial(dpo, beta=beta), pair))


# Range


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
@few
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e3))
def test_scores_never_fall_as_the_ratio_rises(
    score: Callable[[Tensor], Tensor], ratio: float, more: float
) -> None:
    low, high = score(tensor(ratio, ratio + more)).tolist()
    assert low <= high
    if ratio < 5:
        assert low < high


@pytest.mark.parametrize(
    ("name", "ceiling"), [("forward KL", 1.0), ("Jensen-Shannon", math.log(2)), ("alpha", 2.0)]
)
def test_scores_have_a_ceiling(name: str, ceiling: float) -> None:
    close(SCORES[name](tensor(1e4)).item(), ceiling)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_the_exponential_goes_on_as_its_tangent(alpha: float) -> None:
    joint = -STEEPEST / alpha
    at = tensor(joint + 1, joint, joint - 1, joint - 100).requires_grad_()
    scores = alpha_score(at, alpha)
    (slope,) = torch.autograd.grad(scores.sum(), at)
    steepest = math.exp(STEEPEST)
    expected = [
        (1 - math.exp(STEEPEST - alpha)) / alpha,
        (1 - steepest) / alpha,
        (1 - steepest * (1 + alpha)) / alpha,
        (1 - steepest * (1 + 100 * alpha)) / alpha,
    ]
    torch.testing.assert_close(scores.tolist(), expected, rtol=1e-12, atol=0)
    slopes_expected = [math.exp(STEEPEST - alpha), steepest, steepest, steepest]
    torch.testing.assert_close(slope.tolist(), slopes_expected, rtol=1e-12, atol=0)


EXTREMES = [-1e4, -500.0, -60.0, 0.0, 60.0, 500.0, 1e4]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("down", EXTREMES)
@pytest.mark.parametrize("up", EXTREMES)
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_log_ratios(name: str, up: float, down: float, dtype: torch.dtype) -> None:
    """Finite, and so is the squared gradient that a norm sums up; never pulling the wrong way."""
    loss = partial(LOSSES[name], beta=1.0)
    for strength in (1.0, 0.9):
        pair = replace(of_ratios(up, down), strength=strength)
        logps = record(pair, dtype=dtype)
        check_finite(loss, logps)
        (gradient,) = torch.autograd.grad(loss(logps).sum(), logps.tokens)
        assert gradient.square().sum().isfinite()
    sure = record(of_ratios(up, down), dtype=dtype)
    (gradient,) = torch.autograd.grad(loss(sure).sum(), sure.tokens)
    chosen, rejected = gradient[0].item(), gradient[-1].item()
    assert chosen <= 0 <= rejected
    if up < down and up < 0:
        assert chosen < 0  # a chosen response far below the reference is still raised


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_without_a_reference_they_refuse(loss: Loss) -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        loss(replace(record(FIXTURES["good"]), reference=None))


# Rewards


@pytest.mark.parametrize(
    ("name", "reward"),
    [
        ("forward KL", forward_kl_reward),
        ("Jensen-Shannon", jensen_shannon_reward),
        ("alpha", alpha_divergence_reward),
    ],
)
@few
@given(ratios, ratios, st.tuples(betas, alphas))
def test_the_reward_is_what_the_loss_compares(
    name: str,
    reward: Callable[[LogProbs, dict[str, float]], Tensor],
    up: float,
    down: float,
    values: tuple[float, float],
) -> None:
    names = ["beta", "alpha"] if name == "alpha" else ["beta"]
    settings = dict(zip(names, values, strict=False))
    logps = record(of_ratios(up, down))
    chosen, rejected = reward(logps, settings)
    close(LOSSES[name](logps, **settings).item(), -logsigmoid(chosen - rejected).item())
    at_reference = reward(record(of_ratios(0.0, 0.0)), settings)
    torch.testing.assert_close(at_reference, tensor(0.0, 0.0), rtol=0, atol=1e-12)
