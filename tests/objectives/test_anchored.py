"""DPO with likelihood, DPO-Positive, NCA, APO: losses that look at the chosen log-prob itself."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from preftune.objectives.losses.anchored import apo_down, apo_zero, dpo_nll, dpop, nca
from preftune.objectives.losses.logistic import dpo
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
    gradients,
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
    "dpo_nll": dpo_nll,
    "dpop": dpop,
    "nca": partial(nca, beta=0.1),
    "apo_zero": apo_zero,
    "apo_down": apo_down,
}
# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic.
GOLDEN: dict[str, dict[str, tuple[float, float, float]]] = {
    "dpo_nll": {
        "start": (2.7931472, -0.1, 0.05),
        "good": (2.403186, -0.0831812, 0.0331812),
        "displaced": (2.653186, -0.0831812, 0.0331812),
        "wrong": (3.0543552, -0.107444, 0.0574443),
    },
    "dpop": {
        "start": (0.69314718, -3.9, 0.15),
        "good": (0.11551952, -0.032729, 0.032729),
        "displaced": (42.9, -15.3, 0.3),
        "wrong": (30.9, -15.3, 0.3),
    },
    "nca": {
        "start": (1.3862944, -0.025, 0.025),
        "good": (1.2342468, -0.0175249, 0.018877),
        "displaced": (1.2881637, -0.0361664, 0.0134471),
        "wrong": (1.4694066, -0.0324751, 0.026249),
    },
    "apo_zero": {
        "start": (1.0, -0.025, 0.025),
        "good": (0.82770667, -0.0247517, 0.0235004),
        "displaced": (0.84338394, -0.0244458, 0.0196612),
        "wrong": (1.0748132, -0.0247517, 0.0249376),
    },
    "apo_down": {
        "start": (1.0, 0.0, 0.025),
        "good": (0.88164623, 0.00258037, 0.0221713),
        "displaced": (0.75736971, 0.00227454, 0.0221713),
        "wrong": (1.0246085, 0.000305826, 0.0244458),
    },
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("name", LOSSES)
def test_golden_values(name: str, fixture: str, dtype: torch.dtype) -> None:
    logps = record(FIXTURES[fixture], dtype=dtype)
    if name == "dpop" and dtype == torch.float32:  # 15 times what the log-probs are rounded by
        loss = LOSSES[name](logps)
        sides = gradients(loss, logps)
        found = [loss.item(), *sides[0], *sides[1]]
        torch.testing.assert_close(found, list(GOLDEN[name][fixture]), rtol=3e-6, atol=1e-6)
    else:
        check_golden(LOSSES[name], logps, GOLDEN[name][fixture])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dpo_nll", 1.225426222), ("nca", 1.369025594), ("apo_zero", 0.982502770)],
)
def test_golden_values_from_tokens(name: str, expected: float) -> None:
    close(LOSSES[name](record_of_tokens()).item(), expected, 1e-8)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pair=pairs)
def test_doubt(name: str, pair: Pair) -> None:
    check_doubt(LOSSES[name], pair)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pair=sure_pairs)
def test_gradient_is_the_central_difference(name: str, pair: Pair) -> None:
    logps = record(replace(pair, strength=0.8))
    assume(logps.log_ratios.abs().min() > 0.01)  # DPO-Positive's kink
    check_central_difference(LOSSES[name], logps, step=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ratios", [(1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (-1e4, -1e4)])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_log_ratios_stay_finite(
    name: str, ratios: tuple[float, float], dtype: torch.dtype
) -> None:
    check_finite(LOSSES[name], record(of_ratios(*ratios), dtype=dtype))


@pytest.mark.parametrize("name", LOSSES)
def test_without_a_reference_it_refuses(name: str) -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        LOSSES[name](replace(record(FIXTURES["good"]), reference=None))


# --- DPO + likelihood ---


@few
@given(pairs, betas)
def test_dpo_nll_without_likelihood_is_dpo(pair: Pair, beta: float) -> None:
    assert value(partial(dpo_nll, beta=beta, alpha=0.0), pair) == value(
        partial(dpo, beta=beta), pair
    )


@few
@given(sure_pairs, betas, st.floats(0.0, 5.0))
def test_dpo_nll_is_linear_in_alpha(pair: Pair, beta: float, alpha: float) -> None:
    """What is added is the chosen response's likelihood per token, whatever the rejected does."""
    loss = partial(dpo_nll, beta=beta, alpha=alpha)
    plain = partial(dpo, beta=beta)
    close(value(loss, pair), value(plain, pair) - alpha * pair.chosen / pair.tokens_chosen)
    chosen, rejected = slopes(loss, pair)
    close(chosen, slopes(plain, pair)[0] - alpha / pair.tokens_chosen)
    close(rejected, slopes(plain, pair)[1])


@few
@given(sure_pairs, betas, st.floats(0.0, 5.0))
def test_dpo_nll_at_the_start(pair: Pair, beta: float, alpha: float) -> None:
    pair = replace(pair, chosen=pair.reference_chosen, rejected=pair.reference_rejected)
    chosen, rejected = slopes(partial(dpo_nll, beta=beta, alpha=alpha), pair)
    close(chosen, -beta / 2 - alpha / pair.tokens_chosen)
    close(rejected, beta / 2)


# --- DPO-Positive ---

lambdas = st.floats(0.0, 500.0)


@few
@given(pairs, betas)
def test_dpop_without_penalty_is_dpo(pair: Pair, beta: float) -> None:
    close(value(partial(dpop, beta=beta, lam=0.0), pair), value(partial(dpo, beta=beta), pair))


@few
@given(sure_pairs, betas, lambdas)
def test_dpop_above_the_reference_is_dpo(pair: Pair, beta: float, lam: float) -> None:
    above = replace(pair, chosen=pair.reference_chosen + abs(pair.chosen) + 1e-3)
    loss, plain = partial(dpop, beta=beta, lam=lam), partial(dpo, beta=beta)
    close(value(loss, above), value(plain, above))
    assert slopes(loss, above) == slopes(plain, above)


@few
@given(sure_pairs, betas, lambdas)
def test_dpop_below_the_reference_costs_more_than_dpo(pair: Pair, beta: float, lam: float) -> None:
    below = replace(pair, chosen=pair.reference_chosen - abs(pair.chosen) - 1e-3)
    loss = partial(dpop, beta=beta, lam=lam)
    assert value(loss, below) >= value(partial(dpo, beta=beta), below)
    chosen, rejected = slopes(loss, below)
    assert rejected >= 0
    close(chosen, -(1 + lam) * rejected)


# --- NCA ---


@few
@given(sure_pairs, betas)
def test_nca_slopes(pair: Pair, beta: float) -> None:
    """dL/dr_w = 3/2 sigmoid(r_w) - 1: nothing is left where r_w = log 2."""
    rewards = beta * record(pair).log_ratios.detach()
    shares = rewards.sigmoid().tolist()
    chosen, rejected = slopes(partial(nca, beta=beta), pair)
    close(chosen, beta * (1.5 * shares[0] - 1))
    close(rejected, beta * shares[1] / 2)


@few
@given(betas, st.floats(-50, 50))
def test_nca_draws_the_chosen_reward_to_log_2(beta: float, rejected: float) -> None:
    best = math.log(2) / beta
    for offset in (-0.5, 0.0, 0.5):
        slope, _ = slopes(partial(nca, beta=beta), of_ratios(best + offset, rejected))
        close(slope, beta * (1.5 / (1 + math.exp(-beta * (best + offset))) - 1))
        assert (abs(slope) > 1e-9) * math.copysign(1, slope) == (offset > 0) - (offset < 0)


# --- APO ---


@few
@given(sure_pairs, betas)
def test_apo_slopes_and_range(pair: Pair, beta: float) -> None:
    ratios = record(pair).log_ratios.detach()

    def bell(z: torch.Tensor) -> float:
        return beta * (z.sigmoid() * (-z).sigmoid()).item()

    by_chosen, by_rejected = bell(beta * ratios[0]), bell(beta * ratios[1])
    by_margin = bell(beta * (ratios[0] - ratios[1]))
    chosen, rejected = slopes(partial(apo_zero, beta=beta), pair)
    close(chosen, -by_chosen)
    close(rejected, by_rejected)
    chosen, rejected = slopes(partial(apo_down, beta=beta), pair)
    close(chosen, by_chosen - by_margin)
    close(rejected, by_margin)
    for loss in (apo_zero, apo_down):
        assert 0 <= value(partial(loss, beta=beta), pair) <= 2


@few
@given(pairs, betas)
def test_apo_zero_of_swapped_responses_is_its_complement(pair: Pair, beta: float) -> None:
    """sigma(-a) + sigma(b) and sigma(-b) + sigma(a) add up to 2."""
    loss = partial(apo_zero, beta=beta)
    close(value(loss, pair) + value(loss, pair.swapped), 2.0)
