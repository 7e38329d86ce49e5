"""SLiC, CPO, ORPO, SimPO, AlphaPO: losses of pairs without a reference."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.likelihood import sft
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.reference_free import (
    alphapo,
    bent_reward,
    cpo,
    log_odds,
    log_odds_reward,
    orpo,
    simpo,
    slic,
)
from tests.objectives.groups import few
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    betas,
    check_central_difference,
    check_doubt,
    check_finite,
    check_golden,
    close,
    doubled,
    of_ratios,
    pairs,
    record,
    record_of_tokens,
    slopes,
    sure_pairs,
    value,
)

DTYPES = [torch.float32, torch.float64]
LOSSES: dict[str, Loss] = {
    "slic": slic,
    "cpo": partial(cpo, per_token=0.0),
    "orpo": orpo,
    "simpo": simpo,
    "alphapo": alphapo,
}
# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic.
GOLDEN: dict[str, dict[str, tuple[float, float, float]]] = {
    "slic": {
        "start": (4.2, -0.1, 0.0),
        "good": (4.0, -0.1, 0.0),
        "displaced": (4.5, -0.1, 0.0),
        "wrong": (4.4, -0.1, 0.0),
    },
    "cpo": {
        "start": (42.371101, -1.0310026, 0.0310026),
        "good": (40.201413, -1.0182426, 0.0182426),
        "displaced": (45.201413, -1.0182426, 0.0182426),
        "wrong": (44.474077, -1.0377541, 0.0377541),
    },
    "orpo": {
        "start": (2.1752186, -0.0530122, 0.00244564),
        "good": (2.0585641, -0.0525631, 0.00199394),
        "displaced": (2.311346, -0.0525627, 0.00201709),
        "wrong": (2.2839721, -0.0531948, 0.00264529),
    },
    "simpo": {
        "start": (1.4632825, -0.0768525, 0.061482),
        "good": (1.037488, -0.0645656, 0.0516525),
        "displaced": (1.103186, -0.0668188, 0.053455),
        "wrong": (1.6850917, -0.0814573, 0.0651658),
    },
}
ODDS_RATIO = {
    "start": (0.75218561, -0.0301219, 0.0244564),
    "good": (0.58564143, -0.0256314, 0.0199394),
    "displaced": (0.61346036, -0.0256274, 0.0201709),
    "wrong": (0.83972114, -0.0319484, 0.0264529),
}
gammas = st.floats(0.0, 5.0)
alphas = st.floats(-1.0, 1.0)
sums = st.floats(-30.0, -0.1)


def lengthened(pair: Pair) -> LogProbs:
    """Each response twice over: the same means, twice the sums."""
    return doubled(record(pair))


def at_equal_means(mean: float, chosen: int, rejected: int) -> Pair:
    """Both responses with the same log-prob per token."""
    return Pair(mean * chosen, mean * rejected, 0, 0, chosen, rejected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str, fixture: str, dtype: torch.dtype) -> None:
    check_golden(LOSSES[name], record(FIXTURES[fixture], dtype=dtype), GOLDEN[name][fixture])


@pytest.mark.parametrize("fixture", FIXTURES)
def test_golden_odds_ratios(fixture: str) -> None:
    """The part of ORPO that lam weighs."""

    def difference(logps: LogProbs) -> torch.Tensor:
        return orpo(logps, lam=1.0) - orpo(logps, lam=0.0)

    check_golden(difference, record(FIXTURES[fixture]), ODDS_RATIO[fixture])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (partial(simpo, beta=2.0, gamma=1.0), 0.897135822),
        (partial(simpo, beta=2.5, gamma=0.3), 0.480402012),
        (partial(orpo, lam=0.1), 0.609867770),
        (partial(cpo, alpha=0.0), 0.567232135),
        (cpo, 1.133898802),
        (slic, 0.17),
    ],
)
def test_golden_values_from_tokens(loss: Loss, expected: float) -> None:
    close(loss(record_of_tokens()).item(), expected, 1e-8)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pair=pairs)
def test_doubt(name: str, pair: Pair) -> None:
    check_doubt(LOSSES[name], pair)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(chosen=st.floats(-20.0, -1.0), rejected=st.floats(-20.0, -1.0), tokens=st.integers(1, 9))
def test_gradient_is_the_central_difference(
    name: str, chosen: float, rejected: float, tokens: int
) -> None:
    assume(abs(1 - chosen + rejected) > 1e-3)  # SLiC's kink
    pair = Pair(chosen, rejected, 0, 0, tokens, 5, strength=0.8)
    assume(abs(1 + chosen - rejected) > 1e-3)
    check_central_difference(LOSSES[name], record(pair))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sums", [(-1e4, -1.0), (-1.0, -1e4), (-1e4, -1e4), (0.0, 0.0)])
@pytest.mark.parametrize("name", [*LOSSES, "alphapo below 0"])
def test_extreme_log_probs_stay_finite(
    name: str, sums: tuple[float, float], dtype: torch.dtype
) -> None:
    loss = LOSSES.get(name, partial(alphapo, alpha=-2.0))
    check_finite(loss, record(Pair(*sums, 0, 0), dtype=dtype))
    check_finite(loss, record(of_ratios(1e4, -1e4), dtype=dtype))


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pair=pairs)
def test_the_reference_counts_for_nothing(name: str, pair: Pair) -> None:
    logps = record(pair)
    bare = replace(logps, reference=None)
    torch.testing.assert_close(LOSSES[name](bare), LOSSES[name](logps), rtol=0, atol=0)


# --- SLiC ---


@few
@given(sure_pairs, st.floats(0.0, 20.0), st.floats(0.0, 1.0))
def test_slic_pushes_only_pairs_within_the_margin(pair: Pair, delta: float, lam: float) -> None:
    gap = pair.chosen - pair.rejected
    assume(abs(delta - gap) > 1e-6)
    active = float(gap < delta)
    loss = partial(slic, delta=delta, lam=lam)
    chosen, rejected = slopes(loss, pair)
    close(chosen, -active - lam)
    close(rejected, active)
    close(value(loss, pair), active * (delta - gap) - lam * pair.chosen)


# --- CPO ---


@few
@given(pairs, betas)
def test_cpo_without_likelihood_is_dpo_without_reference(pair: Pair, beta: float) -> None:
    free = replace(pair, reference_chosen=0.0, reference_rejected=0.0)
    close(value(partial(cpo, beta=beta, alpha=0.0), pair), value(partial(dpo, beta=beta), free))


@few
@given(sure_pairs, betas, st.floats(0.0, 3.0))
def test_cpo_adds_a_mean_or_a_sum(pair: Pair, beta: float, alpha: float) -> None:
    bare = value(partial(cpo, beta=beta, alpha=0.0), pair)
    mean = value(partial(cpo, beta=beta, alpha=alpha), pair)
    summed = value(partial(cpo, beta=beta, alpha=alpha, per_token=0.0), pair)
    close(mean - bare, -alpha * pair.chosen / pair.tokens_chosen)
    close(summed - bare, -alpha * pair.chosen)


# --- ORPO ---


def test_log_odds_worked() -> None:
    means = torch.tensor([-0.5, -1.0], dtype=torch.float64)
    torch.testing.assert_close(
        log_odds(means).exp().tolist(), [1.541494, 0.581977], rtol=0, atol=1e-6
    )
    pair = Pair(-0.5, -1.0, 0, 0, 1, 1)
    close(value(partial(orpo, lam=1.0), pair) - 0.5, 0.320, 1e-3)
    odds = log_odds_reward(record_of_tokens(), {"lam": 0.1}).tolist()
    torch.testing.assert_close(odds, [0.271306696, -0.344227591], rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_odds_of_a_nearly_certain_response_are_finite(dtype: torch.dtype) -> None:
    means = torch.tensor([-1e-8, 0.0, -1e4], dtype=dtype, requires_grad=True)
    values = log_odds(means)
    (gradient,) = torch.autograd.grad(values.sum(), means)
    assert values.isfinite().all()
    assert gradient.isfinite().all()
    close(values[0].item(), math.log(1e8), 1e-6)
    close(gradient[0].item(), 1e8, 1e-6)
    assert values[2].item() == -1e4  # unlikely: the log-prob itself


@few
@given(st.floats(-50.0, -1e-6), st.floats(1e-6, 1.0))
def test_log_odds_rise_with_the_log_prob(mean: float, more: float) -> None:
    low, high = log_odds(torch.tensor([mean - more, mean], dtype=torch.float64)).tolist()
    assert low < high
    slope = 1 / -math.expm1(mean)
    exact = torch.tensor(mean, dtype=torch.float64, requires_grad=True)
    close(torch.autograd.grad(log_odds(exact), exact)[0].item(), slope, 1e-8)


@few
@given(sure_pairs)
def test_orpo_without_odds_is_sft_per_token(pair: Pair) -> None:
    logps = record(pair)
    per_token = sft(logps)[0] / logps.lengths[0]
    close(value(partial(orpo, lam=0.0), pair), per_token.item())


@few
@given(st.floats(-5.0, -0.01), st.integers(1, 12), st.integers(1, 12))
def test_orpo_at_equal_means(mean: float, chosen: int, rejected: int) -> None:
    pair = at_equal_means(mean, chosen, rejected)
    loss = partial(orpo, lam=1.0)
    close(value(loss, pair), -mean + math.log(2))
    slope = 1 / (2 * -math.expm1(mean))
    by_chosen, by_rejected = slopes(loss, pair)
    close(by_chosen, -(1 + slope) / chosen)
    close(by_rejected, slope / rejected)


@pytest.mark.parametrize("name", ["orpo", "simpo", "alphapo"])
@few
@given(pair=pairs)
def test_only_the_log_prob_per_token_counts(name: str, pair: Pair) -> None:
    torch.testing.assert_close(LOSSES[name](lengthened(pair)), LOSSES[name](record(pair)))


# --- SimPO ---


def test_simpo_worked() -> None:
    """Sums would rank the rejected response first."""
    pair = Pair(-100.0, -60.0, 0, 0, 100, 50)
    close(value(partial(simpo, beta=2.5, gamma=1.4), pair), 1.241154, 1e-6)


@few
@given(st.floats(-5.0, 0.0), st.integers(1, 12), st.integers(1, 12), betas, gammas)
def test_simpo_at_equal_means(
    mean: float, chosen: int, rejected: int, beta: float, gamma: float
) -> None:
    pair = at_equal_means(mean, chosen, rejected)
    loss = partial(simpo, beta=beta, gamma=gamma)
    close(value(loss, pair), math.log1p(math.exp(gamma)))
    share = 1 / (1 + math.exp(-gamma))
    by_chosen, by_rejected = slopes(loss, pair)
    close(by_chosen, -beta * share / chosen)
    close(by_rejected, beta * share / rejected)


@few
@given(pairs, betas, st.integers(1, 12))
def test_simpo_at_equal_lengths_is_dpo_without_reference(
    pair: Pair, beta: float, tokens: int
) -> None:
    pair = replace(pair, tokens_chosen=tokens, tokens_rejected=tokens)
    free = replace(pair, reference_chosen=0.0, reference_rejected=0.0)
    close(
        value(partial(simpo, beta=beta, gamma=0.0), pair),
        value(partial(dpo, beta=beta / tokens), free),
    )


@few
@given(pairs, betas, gammas, st.floats(0.01, 3.0))
def test_simpo_costs_more_with_a_larger_margin(
    pair: Pair, beta: float, gamma: float, more: float
) -> None:
    assert value(partial(simpo, beta=beta, gamma=gamma + more), pair) >= value(
        partial(simpo, beta=beta, gamma=gamma), pair
    )


@few
@given(sure_pairs, betas, gammas, st.floats(0.0, 0.49))
def test_simpo_smoothing_adds_the_shifted_logit(
    pair: Pair, beta: float, gamma: float, noise: float
) -> None:
    """L(u) - L(-u) = -u, with the margin inside."""
    gap = pair.chosen / pair.tokens_chosen - pair.rejected / pair.tokens_rejected
    u = torch.tensor(beta * gap - gamma, dtype=torch.float64)
    smoothed = value(partial(simpo, beta=beta, gamma=gamma, label_smoothing=noise), pair)
    close(smoothed, value(partial(simpo, beta=beta, gamma=gamma), pair) + noise * u.item())
    close(smoothed, -(1 - noise) * logsigmoid(u).item() - noise * logsigmoid(-u).item())


# --- AlphaPO ---


def test_alphapo_rewards_worked() -> None:
    logps = record(Pair(-2.0, -4.0, 0, 0, 1, 2))
    for alpha, expected in ((0.25, -2.594885), (-0.25, -1.573877), (0.0, -2.0)):
        rewards = bent_reward(logps, {"beta": 1.0, "gamma": 0.0, "alpha": alpha}).tolist()
        torch.testing.assert_close(rewards, [expected] * 2, rtol=0, atol=1e-6)


@few
@given(sums, sums, betas, gammas, alphas)
def test_alphapo_is_the_logistic_loss_of_its_rewards(
    chosen: float, rejected: float, beta: float, gamma: float, alpha: float
) -> None:
    assume(abs(alpha) > 1e-3)
    strength = 0.8
    pair = Pair(chosen, rejected, 0, 0, 2, 3, strength)

    def reward(mean: float) -> float:
        return beta * (1 - math.exp(-alpha * mean)) / alpha

    difference = reward(chosen / 2) - reward(rejected / 3)
    logits = torch.tensor([difference - gamma, -difference - gamma], dtype=torch.float64)
    right, wrong = (-logsigmoid(logits)).tolist()
    expected = strength * right + (1 - strength) * wrong
    close(value(partial(alphapo, beta=beta, gamma=gamma, alpha=alpha), pair), expected, 1e-7)


@few
@given(pairs, betas, gammas)
def test_alphapo_at_alpha_0_is_simpo(pair: Pair, beta: float, gamma: float) -> None:
    expected = value(partial(simpo, beta=beta, gamma=gamma), pair)
    assert value(partial(alphapo, beta=beta, gamma=gamma, alpha=0.0), pair) == expected
    for alpha in (1e-9, -1e-9, 1e-14):
        close(value(partial(alphapo, beta=beta, gamma=gamma, alpha=alpha), pair), expected, 1e-4)


@few
@given(st.floats(-5.0, -0.1), alphas, st.integers(1, 9), st.integers(1, 9), betas)
def test_alphapo_bends_the_slope(
    mean: float, alpha: float, chosen: int, rejected: int, beta: float
) -> None:
    """At equal means: SimPO's slope times P^-alpha."""
    assume(abs(alpha) > 1e-3)
    pair = at_equal_means(mean, chosen, rejected)
    by_chosen, by_rejected = slopes(partial(alphapo, beta=beta, gamma=0.0, alpha=alpha), pair)
    slope = beta / 2 * math.exp(-alpha * mean)
    close(by_chosen, -slope / chosen, 1e-8)
    close(by_rejected, slope / rejected, 1e-8)
