"""TDPO and WPO: losses that look at whole next-token distributions."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.vocabulary import kl_reward, tdpo1, tdpo2, wpo
from tests.objectives.groups import few, with_everything
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    at_margin,
    betas,
    check_doubt,
    check_finite,
    check_golden,
    close,
    gradients,
    of_ratios,
    pairs,
    record,
    sure_pairs,
)

DTYPES = [torch.float32, torch.float64]
kls = st.floats(0.0, 5.0)
alphas = st.floats(0.0, 3.0)
KL_LOSSES: dict[str, Loss] = {"tdpo1": tdpo1, "tdpo2": tdpo2}


def with_kl(pair: Pair, chosen: float, rejected: float) -> LogProbs:
    """A pair with the given sequence KLs, spread over the tokens; `kl` asks for grad."""
    logps = record(pair)
    totals = torch.tensor([chosen, rejected], dtype=torch.float64)
    kl = (totals / logps.lengths)[logps.response]
    return replace(logps, kl=kl.detach().requires_grad_())


def slope_of_kl(loss: Tensor, logps: LogProbs) -> list[float]:
    """dL / dK of the chosen and of the rejected response."""
    assert logps.kl is not None
    (by_token,) = torch.autograd.grad(loss.sum(), logps.kl)
    return [by_token[logps.response == response][0].item() for response in (0, 1)]


# --- TDPO ---


def test_tdpo_worked() -> None:
    logps = with_kl(at_margin(7.0), 0.8, 1.2)
    close(tdpo1(logps, beta=0.1).item(), 0.416637, 1e-6)
    close(tdpo2(logps, beta=0.1, alpha=0.5).item(), 0.409867, 1e-6)


@few
@given(sure_pairs, kls, kls, betas, alphas)
def test_tdpo_is_dpo_at_another_margin(
    pair: Pair, chosen: float, rejected: float, beta: float, alpha: float
) -> None:
    logps = with_kl(pair, chosen, rejected)
    for loss, weight, follows in (
        (partial(tdpo1, beta=beta), 1.0, True),
        (partial(tdpo2, beta=beta, alpha=alpha), alpha, False),
    ):
        z = torch.tensor(beta * (pair.margin - weight * (rejected - chosen)), dtype=torch.float64)
        close(loss(logps).item(), (-torch.nn.functional.logsigmoid(z)).item())
        slope = beta * torch.sigmoid(-z).item()
        (by_chosen,), (by_rejected,) = gradients(loss(logps), logps)
        close(by_chosen, -slope)
        close(by_rejected, slope)
        of_chosen, of_rejected = slope_of_kl(loss(logps), logps)
        close(of_rejected, weight * slope)
        close(of_chosen, -weight * slope if follows else 0.0)  # TDPO2: none through K_w


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KL_LOSSES)
def test_tdpo_at_the_start(name: str, dtype: torch.dtype) -> None:
    """The KLs are 0: it is DPO."""
    logps = record(FIXTURES["start"], dtype=dtype)
    logps = replace(logps, kl=torch.zeros_like(logps.tokens))
    check_golden(KL_LOSSES[name], logps, (math.log(2), -0.05, 0.05))


@few
@given(pairs, kls, kls, betas)
def test_tdpo2_without_kl_is_dpo_and_tdpo1_where_both_are_equal(
    pair: Pair, chosen: float, rejected: float, beta: float
) -> None:
    logps = replace(with_kl(pair, chosen, rejected), strength=record(pair).strength)
    torch.testing.assert_close(tdpo2(logps, beta=beta, alpha=0.0), dpo(logps, beta=beta))
    even = with_kl(pair, chosen, chosen)
    torch.testing.assert_close(tdpo1(even, beta=beta), dpo(even, beta=beta))


@pytest.mark.parametrize("name", KL_LOSSES)
@few
@given(pair=pairs, chosen=kls, rejected=kls)
def test_tdpo_under_doubt(name: str, pair: Pair, chosen: float, rejected: float) -> None:
    logps = with_kl(pair, chosen, rejected)
    sure = replace(logps, strength=None)
    expected = pair.strength * KL_LOSSES[name](sure)
    expected = expected + (1 - pair.strength) * KL_LOSSES[name](sure.swapped())
    torch.testing.assert_close(KL_LOSSES[name](logps), expected)


@few
@given(sure_pairs, kls, kls, betas, alphas)
def test_the_reward_is_what_is_compared(
    pair: Pair, chosen: float, rejected: float, beta: float, alpha: float
) -> None:
    logps = with_kl(pair, chosen, rejected)
    for settings, loss in (
        ({"beta": beta}, partial(tdpo1, beta=beta)),
        ({"beta": beta, "alpha": alpha}, partial(tdpo2, beta=beta, alpha=alpha)),
    ):
        gap = logps.difference(kl_reward(logps, settings))
        torch.testing.assert_close(loss(logps), -torch.nn.functional.logsigmoid(gap))


def test_what_the_losses_miss_is_named() -> None:
    for loss in KL_LOSSES.values():
        with pytest.raises(ValueError, match="carry no `kl`"):
            loss(record(FIXTURES["good"]))
    with pytest.raises(ValueError, match="carry no `collision`"):
        wpo(record(FIXTURES["good"]))
    for loss in (*KL_LOSSES.values(), wpo):
        with pytest.raises(ValueError, match="carry no reference"):
            loss(replace(with_everything(FIXTURES["good"]), reference=None))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", [tdpo1, tdpo2, wpo])
def test_extreme_log_ratios_stay_finite(loss: Loss, dtype: torch.dtype) -> None:
    for ratios in ((1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (-1e4, -1e4)):
        check_finite(loss, with_everything(of_ratios(*ratios), dtype=dtype))


# --- WPO ---

PEAKED = (0.7, 0.2, 0.08, 0.02)
TOKEN_WEIGHTS = (1.30402, 0.372578, 0.149031, 0.0372578)


def drawn_from(policy: tuple[float, ...], chosen: int, rejected: int) -> LogProbs:
    """A pair of one-token responses, tokens of the policy, at the start."""
    probs = torch.tensor(policy, dtype=torch.float64)
    tokens = probs[[chosen, rejected]].log()
    logps = LogProbs.of_pairs(
        [tokens[:1]], [tokens[1:]], reference_chosen=[tokens[:1]], reference_rejected=[tokens[1:]]
    )
    collision = probs.square().sum().log().expand(2)
    return replace(logps, tokens=logps.tokens.clone().requires_grad_(), collision=collision)


def weight_of(logps: LogProbs, largest: float = 1e9) -> float:
    return wpo(logps, largest_weight=largest).item() / math.log(2)


def test_wpo_worked() -> None:
    for chosen, first in enumerate(TOKEN_WEIGHTS):
        for rejected, second in enumerate(TOKEN_WEIGHTS):
            logps = drawn_from(PEAKED, chosen, rejected)
            close(weight_of(logps), first * second, 1e-5)
            close(weight_of(logps, 1.0), min(1.0, first * second), 1e-5)


def test_wpo_weighs_the_policys_own_tokens_one_on_average() -> None:
    probs = torch.tensor(PEAKED, dtype=torch.float64)
    own = [weight_of(drawn_from(PEAKED, token, token)) ** 0.5 for token in range(4)]
    close((probs * torch.tensor(own, dtype=torch.float64)).sum().item(), 1.0)


@few
@given(pairs, betas, st.integers(2, 50))
def test_wpo_of_a_uniform_policy_is_dpo(pair: Pair, beta: float, words: int) -> None:
    """Every token is as likely as any other, so every weight is 1."""
    level = -math.log(words)
    logps = record(replace(pair, chosen=0.0, rejected=0.0))
    logps = replace(logps, tokens=torch.full_like(logps.tokens, level, requires_grad=True))
    logps = replace(logps, collision=torch.full_like(logps.tokens, level, requires_grad=False))
    torch.testing.assert_close(wpo(logps, beta=beta), dpo(logps, beta=beta))
    torch.testing.assert_close(
        gradients(wpo(logps, beta=beta), logps), gradients(dpo(logps, beta=beta), logps)
    )


@few
@given(pairs, betas, st.floats(0.01, 5.0))
def test_wpo_is_weighed_dpo_also_in_its_slope(pair: Pair, beta: float, largest: float) -> None:
    logps = record(pair)
    collision = torch.linspace(-9.0, -1.0, len(logps.tokens), dtype=torch.float64)
    logps = replace(logps, collision=collision)
    excess = logps.add_up(logps.tokens.detach() - collision) / logps.lengths
    weight = min(excess.sum().exp().item(), largest)
    loss = wpo(logps, beta=beta, largest_weight=largest)
    close(loss.item(), weight * dpo(logps, beta=beta).item())
    found, expected = gradients(loss, logps), gradients(dpo(logps, beta=beta), logps)
    for one, other in zip(found, expected, strict=True):
        close(one[0], weight * other[0])


@few
@given(pairs)
def test_wpo_under_doubt(pair: Pair) -> None:
    def loss(logps: LogProbs) -> Tensor:
        mean = torch.full_like(logps.tokens.detach(), -2.0)
        return wpo(replace(logps, collision=mean))

    check_doubt(loss, pair)
