"""Beta-DPO and alpha-DPO: a beta, a margin, that follow the other pairs of the step."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.binding import bind
from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.adaptive import (
    alpha_dpo,
    alpha_dpo_state,
    beta_dpo,
    beta_dpo_state,
)
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.reference_free import simpo
from tests.objectives.groups import few
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    at_margin,
    betas,
    check_central_difference,
    check_finite,
    close,
    gradients,
    of_ratios,
    pairs,
    record,
)

DTYPES = [torch.float32, torch.float64]
steps = st.lists(pairs, min_size=1, max_size=5)
margins = st.lists(st.floats(-30.0, 30.0), min_size=1, max_size=6)


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


# --- Beta-DPO ---

whole = partial(beta_dpo, dropped=0.0)


@few
@given(steps, betas)
def test_beta_dpo_that_follows_nothing_and_drops_nothing_is_dpo(
    step: list[Pair], beta: float
) -> None:
    logps = record(*step)
    found = beta_dpo(logps, beta=beta, sensitivity=0.0, dropped=0.0)
    assert torch.equal(found, dpo(logps, beta=beta))


def test_beta_below_its_floor_is_not_raised() -> None:
    logps = record(FIXTURES["good"])
    found = beta_dpo(logps, beta=1e-4, sensitivity=0.0, dropped=0.0)
    assert torch.equal(found, dpo(logps, beta=1e-4))


@few
@given(margins, betas, st.floats(0.0, 2.0), st.floats(-5.0, 5.0))
def test_beta_follows_the_mean_margin(
    step: list[float], beta: float, sensitivity: float, mean: float
) -> None:
    """The gradient too: the new beta is a constant to it."""
    logps = record(*(at_margin(margin) for margin in step))
    follows = beta * (1 + sensitivity * (sum(step) / len(step) - mean))
    follows = max(follows, 1e-3)
    loss = whole(logps, beta=beta, sensitivity=sensitivity, margin_mean=scalar(mean))
    expected = dpo(logps, beta=follows)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients(loss, logps), gradients(expected, logps))


@few
@given(margins, betas, st.floats(0.0, 2.0))
def test_at_the_mean_margin_beta_is_as_set(
    step: list[float], beta: float, sensitivity: float
) -> None:
    logps = record(*(at_margin(margin) for margin in step))
    torch.testing.assert_close(
        whole(logps, beta=beta, sensitivity=sensitivity), dpo(logps, beta=beta)
    )


@pytest.mark.parametrize(("count", "dropped", "kept"), [(5, 0.2, 4), (64, 0.2, 51), (5, 0.8, 1)])
def test_a_share_is_dropped_and_the_others_scaled_up(count: int, dropped: float, kept: int) -> None:
    logps = record(*(at_margin(number / count) for number in range(count)))
    losses = beta_dpo(logps, sensitivity=0.0, dropped=dropped)
    assert (losses > 0).sum() == kept
    expected = dpo(logps)[losses > 0] * count / kept
    torch.testing.assert_close(losses[losses > 0], expected)
    torch.testing.assert_close(losses.sum() / count, dpo(logps)[losses > 0].mean())
    chosen, _ = gradients(losses, logps)
    assert [slope != 0 for slope in chosen] == (losses > 0).tolist()


def test_one_pair_is_always_kept() -> None:
    torch.testing.assert_close(
        beta_dpo(record(FIXTURES["good"]), dropped=0.99), dpo(record(FIXTURES["good"]))
    )


def test_the_mean_is_that_of_the_kept() -> None:
    step = [0.0, 1.0, 5.0, -2.0, 3.0]
    logps = record(*(at_margin(margin) for margin in step))
    losses = beta_dpo(logps, sensitivity=0.5, dropped=0.4, margin_mean=scalar(0.5))
    kept = [margin for margin, loss in zip(step, losses.tolist(), strict=True) if loss > 0]
    follows = 0.1 * (1 + 0.5 * (sum(kept) / len(kept) - 0.5))
    expected = dpo(logps, beta=follows)[losses > 0] * 5 / 3
    torch.testing.assert_close(losses[losses > 0], expected)


def kept_in(logps: LogProbs, draw: int) -> tuple[bool, ...]:
    losses = beta_dpo(logps, dropped=0.4, draws=scalar(draw))
    return tuple((losses > 0).tolist())


def test_the_draw_is_known_from_its_number() -> None:
    logps = record(*(at_margin(number / 10) for number in range(10)))
    draws = [kept_in(logps, number) for number in range(20)]
    assert draws == [kept_in(logps, number) for number in range(20)]
    assert len(set(draws)) > 10
    assert draws[0] == tuple((beta_dpo(logps, dropped=0.4) > 0).tolist())


def test_the_chances_are_the_weights() -> None:
    """Of 21 pairs one is kept: half of the time the one that weighs as much as all others."""
    weight = 1 / 20
    outlier = math.sqrt(-2 * math.log(weight))
    logps = record(*(at_margin(margin) for margin in [0.0] + [outlier] * 20))
    known = {"margin_mean": scalar(0.0), "margin_deviation": scalar(1.0)}
    number = 1000
    counts = torch.zeros(21)
    for draw in range(number):
        counts += beta_dpo(logps, dropped=0.95, draws=scalar(draw), **known).detach() > 0
    close(counts[0].item() / number, 0.5, 0.04)
    assert counts[1:].max() < 4 * counts[1:].min()


def test_weights_count_in_the_mean_and_are_scaled_with_it() -> None:
    step = [1.0, 4.0, -2.0]
    weight = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    logps = replace(record(*(at_margin(margin) for margin in step)), weight=weight)
    losses = whole(logps, sensitivity=0.5, margin_mean=scalar(0.0))
    torch.testing.assert_close(losses, dpo(logps, beta=0.1 * (1 + 0.5 * 7 / 4)))
    some = beta_dpo(logps, sensitivity=0.0, dropped=0.34)
    kept = weight * (some > 0)
    assert 0 < kept.count_nonzero() < 3
    mean_of_kept = (kept * dpo(logps)).sum() / kept.sum()
    torch.testing.assert_close((some * weight).sum() / weight.sum(), mean_of_kept)


def test_beta_dpo_state() -> None:
    settings = bind("beta_dpo").parts[0].settings
    start = beta_dpo_state(record(at_margin(0.0), at_margin(0.0)), {}, settings)
    assert {name: one.item() for name, one in start.items()} == {
        "margin_mean": 0.0,
        "margin_deviation": 0.0,
        "draws": 0.0,
    }
    # Nothing had moved yet: the second step's own values count.
    second = beta_dpo_state(record(at_margin(1.0), at_margin(3.0)), start, settings)
    assert [one.item() for one in second.values()] == [2.0, 1.0, 1.0]
    third = beta_dpo_state(record(at_margin(0.0), at_margin(8.0)), second, settings)
    torch.testing.assert_close([one.item() for one in third.values()], [2.2, 1.3, 2.0])
    assert all(one.shape == () and not one.requires_grad for one in third.values())


# --- Alpha-DPO ---


@few
@given(steps, betas, st.floats(0.0, 5.0))
def test_alpha_dpo_at_alpha_0_is_simpo(step: list[Pair], beta: float, gamma: float) -> None:
    logps = record(*step)
    torch.testing.assert_close(
        alpha_dpo(logps, beta=beta, gamma=gamma, alpha=0.0), simpo(logps, beta=beta, gamma=gamma)
    )


@few
@given(steps, betas, st.floats(0.0, 5.0), st.floats(0.01, 1.0), st.floats(-1.0, 1.0))
def test_alpha_dpo_is_its_formula(
    step: list[Pair], beta: float, gamma: float, alpha: float, mean: float
) -> None:
    logps = record(*step)
    known = {"gap_mean": scalar(mean), "gap_deviation": scalar(0.7)}
    found = alpha_dpo(logps, beta=beta, gamma=gamma, alpha=alpha, **known)
    for index, pair in enumerate(step):
        gap = pair.chosen / pair.tokens_chosen - pair.rejected / pair.tokens_rejected
        moved = gap - (
            pair.reference_chosen / pair.tokens_chosen
            - pair.reference_rejected / pair.tokens_rejected
        )
        right = beta * gap - gamma - beta * alpha * (moved - mean) / 0.7
        wrong = -beta * gap - gamma - beta * alpha * (-moved - mean) / 0.7
        against, for_it = logsigmoid(torch.tensor([wrong, right], dtype=torch.float64)).tolist()
        close(found[index].item(), -pair.strength * for_it - (1 - pair.strength) * against, 1e-8)


@few
@given(steps, betas)
def test_the_margin_has_no_gradient(step: list[Pair], beta: float) -> None:
    """Slope and loss go together as in SimPO: dL/du = -(1 - exp(-L)) of a sure pair."""
    logps = record(*(replace(pair, strength=1.0) for pair in step))
    losses = alpha_dpo(logps, beta=beta)
    chosen, rejected = gradients(losses, logps)
    for index, pair in enumerate(step):
        slope = beta * -math.expm1(-losses[index].item())
        close(chosen[index], -slope / pair.tokens_chosen)
        close(rejected[index], slope / pair.tokens_rejected)


def test_alone_the_margins_of_a_step_average_gamma() -> None:
    """A pair that has moved further than the others must be better by more."""
    step = [of_ratios(3.0, 0.0), of_ratios(0.0, 0.0), of_ratios(-3.0, 0.0)]
    logps = record(*step)
    plain = simpo(logps, beta=2.5, gamma=1.5)
    found = alpha_dpo(logps, beta=2.5, gamma=1.5, alpha=0.1)
    assert found[0] > plain[0]
    torch.testing.assert_close(found[1], plain[1])
    assert found[2] < plain[2]


def test_alpha_dpo_state() -> None:
    settings = bind("alpha_dpo").parts[0].settings
    start = alpha_dpo_state(record(of_ratios(0.0, 0.0)), {}, settings)
    assert {name: one.item() for name, one in start.items()} == {
        "gap_mean": 0.0,
        "gap_deviation": 0.0,
    }
    one = alpha_dpo_state(record(of_ratios(3.0, 0.0), of_ratios(-3.0, 0.0)), start, settings)
    torch.testing.assert_close([part.item() for part in one.values()], [0.0, 1.0])
    two = alpha_dpo_state(record(of_ratios(3.0, 0.0), of_ratios(3.0, 0.0)), one, settings)
    torch.testing.assert_close([part.item() for part in two.values()], [0.1, 0.9])


# --- both ---


@pytest.mark.parametrize("name", ["beta_dpo", "alpha_dpo"])
def test_the_first_steps_state_is_what_the_record_says_alone(name: str) -> None:
    logps = record(*FIXTURES.values())
    part = bind(name).parts[0]
    torch.testing.assert_close(part(logps, part.next_state(logps, {})), part(logps))


@pytest.mark.parametrize("name", ["beta_dpo", "alpha_dpo"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_start(name: str, dtype: torch.dtype) -> None:
    """All margins are 0: no deviation to divide by."""
    logps = record(Pair(-4, -4, -4, -4, 2, 2), Pair(-9, -9, -9, -9, 3, 3), dtype=dtype)
    check_finite(bind(name).parts[0], logps)
    if name == "beta_dpo":
        close(whole(logps)[0].item(), math.log(2), 1e-6)
        chosen, rejected = gradients(whole(logps), logps)
        assert [*chosen, *rejected] == pytest.approx([-0.05, -0.05, 0.05, 0.05], abs=1e-7)
    else:
        close(alpha_dpo(logps)[0].item(), math.log1p(math.exp(1.5)), 1e-6)


@pytest.mark.parametrize("name", ["beta_dpo", "alpha_dpo"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_log_ratios_stay_finite(name: str, dtype: torch.dtype) -> None:
    part = bind(name).parts[0]
    start = part.next_state(record(at_margin(0.0), dtype=dtype), {})
    for ratios in ((1e4, -1e4), (-1e4, 1e4), (1e4, 1e4)):
        logps = record(of_ratios(*ratios), of_ratios(1.0, 2.0), dtype=dtype)
        check_finite(part, logps)
        check_finite(lambda one: part(one, start), logps)


@few
@given(steps)
def test_gradient_is_the_central_difference(step: list[Pair]) -> None:
    """Given the statistics. Beta-DPO's own beta is checked against DPO above."""
    logps = record(*step[:3])
    fixed = partial(beta_dpo, sensitivity=0.0, dropped=0.3, margin_deviation=scalar(50.0))
    check_central_difference(partial(fixed, margin_mean=scalar(0.0)), logps)


@pytest.mark.parametrize("loss", [beta_dpo, alpha_dpo])
def test_without_a_reference_it_refuses(loss: Loss) -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        loss(replace(record(FIXTURES["good"]), reference=None))
