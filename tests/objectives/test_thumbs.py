"""KTO and BCO: losses of responses judged alone."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from preftune.objectives.binding import bind
from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.anchored import apo_zero
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.thumbs import bco, bco_shift, kto
from tests.objectives.groups import by_response, few, response_slopes, thumbed
from tests.objectives.pairs import (
    FIXTURES,
    Pair,
    betas,
    check_central_difference,
    check_finite,
    check_golden,
    close,
    record,
    record_of_tokens,
    sure_pairs,
)

DTYPES = [torch.float32, torch.float64]
ratios = st.floats(-50.0, 50.0)
some = st.lists(ratios, min_size=1, max_size=4)
weights = st.floats(0.0, 3.0)
ZERO = torch.tensor(0.0, dtype=torch.float64)


def nats(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def as_thumbs(logps: LogProbs) -> LogProbs:
    """Of pairs, the chosen responses are good and the rejected ones bad."""
    good = torch.ones(len(logps.group), dtype=logps.tokens.dtype)
    return replace(logps, good=good.index_fill(0, logps.loser, -1.0))


def kto_of_pairs(logps: LogProbs, z0: float = 0.0, beta: float = 0.1) -> Tensor:
    """The mean of one good and one bad response."""
    return kto(as_thumbs(logps), beta=beta, kl=logps.tokens.new_tensor(z0)).view(-1, 2).mean(1)


def bco_of_pairs(logps: LogProbs, beta: float = 0.1, shift: float = 0.0) -> Tensor:
    """The sum of one good and one bad response."""
    half = logps.tokens.new_tensor(shift)
    losses = bco(as_thumbs(logps), beta=beta, good_reward=half, bad_reward=half)
    return losses.view(-1, 2).sum(1)


# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic.
KTO_GOLDEN = {
    "start": (0.5, -0.0124922, 0.0124922),
    "good": (0.41421728, -0.01243, 0.0116004),
    "displaced": (0.42292134, -0.0121249, 0.00960137),
    "wrong": (0.53733695, -0.0123067, 0.0124922),
}
BCO_GOLDEN = {
    "start": (1.3862944, -0.05, 0.05),
    "good": (1.0722159, -0.0450166, 0.0377541),
    "displaced": (1.1676169, -0.0574443, 0.0268941),
    "wrong": (1.5425355, -0.0549834, 0.0524979),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
def test_golden_values(fixture: str, dtype: torch.dtype) -> None:
    logps = record(FIXTURES[fixture], dtype=dtype)
    check_golden(partial(kto_of_pairs, z0=0.5), logps, KTO_GOLDEN[fixture])
    check_golden(bco_of_pairs, logps, BCO_GOLDEN[fixture])


def test_golden_value_from_tokens() -> None:
    close(bco_of_pairs(record_of_tokens()).item(), 1.351656828, 1e-8)


def test_kto_worked() -> None:
    losses = kto(thumbed([2.0], [-3.0]), beta=0.1, kl=nats(0.5))
    torch.testing.assert_close(losses.tolist(), [0.462570, 0.413382], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_start(dtype: torch.dtype) -> None:
    logps = thumbed([0.0], [0.0, 0.0], [0.0], dtype=dtype)
    losses = kto(logps, beta=0.3, desirable_weight=2.0, undesirable_weight=0.5)
    assert losses.dtype == dtype
    assert losses.tolist() == [1.0, 0.25, 0.25, 0.0]
    slopes = [-2 * 0.3 / 4, 0.5 * 0.3 / 4, 0.5 * 0.3 / 4, 0.0]
    torch.testing.assert_close(by_response(losses, logps), slopes, rtol=0, atol=1e-7)
    losses = bco(logps, beta=0.3)
    assert losses.dtype == dtype
    torch.testing.assert_close(losses.tolist(), [math.log(2)] * 3 + [0.0], rtol=0, atol=1e-7)
    torch.testing.assert_close(
        by_response(losses, logps), [-0.15, 0.15, 0.15, 0.0], rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ratio", [1e4, -1e4])
def test_extreme_log_ratios_stay_finite(ratio: float, dtype: torch.dtype) -> None:
    logps = thumbed([ratio, 0.0], [ratio, -ratio], [-ratio, 3.0], dtype=dtype)
    for loss in (kto, bco):
        check_finite(loss, logps)


# --- KTO ---


@few
@given(some, some, some, betas, st.tuples(weights, weights))
def test_kto_is_its_formula(
    good: list[float],
    bad: list[float],
    others: list[float],
    beta: float,
    both: tuple[float, float],
) -> None:
    """Values and slopes; the estimate of the KL has no gradient, and is not below 0."""
    up, down = both
    logps = thumbed(good, bad, others)
    z0 = max(0.0, sum(others) / len(others))
    loss = partial(kto, beta=beta, desirable_weight=up, undesirable_weight=down)
    losses, slopes = loss(logps).tolist(), response_slopes(loss, logps)
    for index, ratio in enumerate([*good, *bad]):
        sign, weight = (1, up) if index < len(good) else (-1, down)
        share = torch.sigmoid(nats(sign * beta * (ratio - z0)))
        close(losses[index], weight * (1 - share).item())
        close(slopes[index], -sign * weight * beta * (share * (1 - share)).item())
    assert losses[len(good) + len(bad) :] == [0.0] * len(others)
    assert slopes[len(good) + len(bad) :] == [0.0] * len(others)


@few
@given(some, some, st.lists(st.floats(0.1, 20.0), min_size=1, max_size=3), st.floats(0.0, 20.0))
def test_kto_only_sees_the_distance_from_the_kl(
    good: list[float], bad: list[float], others: list[float], more: float
) -> None:
    raised = thumbed(
        *([ratio + more for ratio in part] for part in (good, bad)),
        [ratio + more for ratio in others],
    )
    torch.testing.assert_close(kto(raised), kto(thumbed(good, bad, others)))


@few
@given(some, some, some)
def test_given_the_kl_the_order_does_not_matter(
    good: list[float], bad: list[float], others: list[float]
) -> None:
    forward = kto(thumbed(good, bad, others))
    backward = kto(thumbed(good[::-1], bad[::-1], others[::-1]))
    torch.testing.assert_close(forward[: len(good)], backward[: len(good)].flip(0))
    lower = slice(len(good), len(good) + len(bad))
    torch.testing.assert_close(forward[lower], backward[lower].flip(0))


@few
@given(ratios, betas, st.floats(0.0, 20.0))
def test_kto_at_the_kl_is_half(ratio: float, beta: float, z0: float) -> None:
    logps = thumbed([z0, ratio], [z0])
    losses = kto(logps, beta=beta, kl=nats(z0))
    close(losses[0].item(), 0.5)
    close(losses[2].item(), 0.5)
    assert 0 <= losses[1] <= 1


def test_kto_with_one_kind_only() -> None:
    for logps in (thumbed([1.0, 2.0], [], [0.5]), thumbed([], [1.0, 2.0], [0.5])):
        check_finite(kto, logps)
        assert kto(logps)[:2].gt(0).all()
    slopes = response_slopes(partial(kto, desirable_weight=0.0), thumbed([1.0], [1.0], [0.5]))
    assert slopes[0] == 0
    assert slopes[1] > 0


@few
@given(sure_pairs, betas)
def test_kto_of_a_pair_at_kl_0_is_half_of_apo_zero(pair: Pair, beta: float) -> None:
    logps = record(pair)
    twice = 2 * kto_of_pairs(logps, beta=beta)
    torch.testing.assert_close(twice, apo_zero(logps, beta=beta), rtol=1e-12, atol=1e-12)


def test_what_kto_misses_is_named() -> None:
    with pytest.raises(ValueError, match="needs `mismatched` responses"):
        kto(thumbed([1.0], [1.0]))
    for loss in (kto, bco):
        with pytest.raises(ValueError, match="needs `good`: 1 for thumbs up"):
            loss(record(FIXTURES["good"]))
        with pytest.raises(ValueError, match="carry no reference"):
            loss(replace(thumbed([1.0], [1.0], [0.0]), reference=None))


def test_a_thumb_on_a_response_to_another_prompt_counts_for_nothing() -> None:
    logps = thumbed([1.0], [2.0], [3.0])
    marked = replace(logps, good=torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))
    for loss in (kto, bco):
        torch.testing.assert_close(loss(marked), loss(logps), rtol=0, atol=0)


# --- BCO ---


@few
@given(sure_pairs, betas, st.floats(-3.0, 3.0))
def test_bco_of_a_pair_is_never_below_dpo(pair: Pair, beta: float, shift: float) -> None:
    logps = record(pair)
    gap = bco_of_pairs(logps, beta, shift) - dpo(logps, beta=beta)
    assert gap.item() >= -1e-12


@few
@given(some, some, betas)
def test_bco_is_its_formula(good: list[float], bad: list[float], beta: float) -> None:
    logps = thumbed(good, bad, [7.0])
    shift = beta * (sum(good) / len(good) + sum(bad) / len(bad)) / 2
    loss = partial(bco, beta=beta)
    losses, slopes = loss(logps).tolist(), response_slopes(loss, logps)
    for index, ratio in enumerate([*good, *bad]):
        sign = 1 if index < len(good) else -1
        z = sign * (beta * ratio - shift)
        close(losses[index], max(0.0, -z) + math.log1p(math.exp(-abs(z))))
        close(slopes[index], -sign * beta * torch.sigmoid(nats(-z)).item())
    assert (losses[-1], slopes[-1]) == (0.0, 0.0)


@few
@given(some, some, st.floats(-20.0, 20.0))
def test_bco_only_sees_the_distance_from_the_shift(
    good: list[float], bad: list[float], more: float
) -> None:
    raised = thumbed([ratio + more for ratio in good], [ratio + more for ratio in bad])
    torch.testing.assert_close(bco(raised), bco(thumbed(good, bad)))


def test_bco_with_one_kind_only() -> None:
    """The other half of the shift is 0, the reference's own reward."""
    logps = thumbed([4.0, 2.0], [])
    check_finite(bco, logps)
    close(bco(logps, beta=0.1)[0].item(), math.log1p(math.exp(-(0.4 - 0.15))))
    close(bco(thumbed([], [4.0, 2.0]), beta=0.1)[0].item(), math.log1p(math.exp(0.4 - 0.15)))


def test_bco_running_means() -> None:
    settings = {"beta": 0.5, "memory": 0.8}
    state = bco_shift(thumbed([4.0, 2.0], []), {}, settings)
    assert {name: one.item() for name, one in state.items()} == {
        "good_reward": 1.5,
        "bad_reward": 0.0,
    }
    state = bco_shift(thumbed([], [-2.0, -6.0]), state, settings)
    assert state["good_reward"].item() == 1.5  # none in this step: left alone
    close(state["bad_reward"].item(), 0.2 * -2.0)
    state = bco_shift(thumbed([1.0], [-2.0]), state, settings)
    close(state["good_reward"].item(), 0.8 * 1.5 + 0.2 * 0.5)
    close(state["bad_reward"].item(), 0.8 * -0.4 + 0.2 * -1.0)
    assert all(one.shape == () and not one.requires_grad for one in state.values())
    logps = thumbed([1.0], [-2.0])
    losses = bco(logps, **settings, **state)
    shift = (state["good_reward"] + state["bad_reward"]).item() / 2
    close(losses[0].item(), math.log1p(math.exp(-(0.5 - shift))))
    close(losses[1].item(), math.log1p(math.exp(-1.0 - shift)))


def test_bco_after_one_step_is_that_of_the_record() -> None:
    """The first step's means are its own."""
    logps = thumbed([4.0, -2.0], [1.0, 0.5, -3.0])
    part = bind("bco", {"beta": 0.3}).parts[0]
    state = part.next_state(logps, {})
    torch.testing.assert_close(part(logps, state), part(logps))


# --- both ---


@pytest.mark.parametrize("name", ["kto", "bco"])
def test_a_group_of_weight_two_is_that_group_twice(name: str) -> None:
    part = bind(name).parts[0]
    logps = thumbed([4.0, -2.0], [1.0], [5.0, 2.0])
    weighed = replace(logps, group_weight=torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0]))
    twice = part(thumbed([4.0, -2.0, -2.0], [1.0], [5.0, 2.0, 2.0]))
    torch.testing.assert_close(part(weighed).sum(), twice.sum())
    assert part(weighed)[0] != part(logps)[0]  # the statistics are weighed too


@few
@given(some, some)
def test_gradient_is_the_central_difference(good: list[float], bad: list[float]) -> None:
    logps = thumbed(good, bad)
    check_central_difference(partial(kto, kl=nats(1.5)), logps)
    check_central_difference(partial(bco, good_reward=nats(0.7), bad_reward=nats(-0.2)), logps)
