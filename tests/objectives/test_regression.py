import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.regression import cal_dpo, ipo_mean, ipo_sum, sppo_hard
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    at_margin,
    check_central_difference,
    check_doubt,
    check_finite,
    check_golden,
    close,
    doubled,
    few,
    fewer,
    lengths,
    of_ratios,
    pairs,
    record,
    record_of_tokens,
    slopes,
    strengths,
    sure_pairs,
    value,
)

DTYPES = [torch.float32, torch.float64]
LOSSES: dict[str, Loss] = {
    "ipo_sum": ipo_sum,
    "ipo_mean": ipo_mean,
    "sppo_hard": sppo_hard,
    "cal_dpo": cal_dpo,
}
ties_to_reference = st.floats(0.01, 2.0)
ratios = st.floats(-60.0, 60.0)

# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic.
GOLDEN: list[tuple[Loss, dict[str, tuple[float, float, float]]]] = [
    (
        partial(ipo_sum, tau=0.1),
        {
            "start": (25.0, -10.0, 10.0),
            "good": (4.0, 4.0, -4.0),
            "displaced": (4.0, 4.0, -4.0),
            "wrong": (64.0, -16.0, 16.0),
        },
    ),
    (
        partial(ipo_mean, tau=0.1),
        {
            "start": (25.0, -0.5, 0.4),
            "good": (22.09, -0.47, 0.376),
            "displaced": (22.5625, -0.475, 0.38),
            "wrong": (26.4196, -0.514, 0.4112),
        },
    ),
    (
        partial(sppo_hard, beta=1e-3),
        {
            "start": (500000.0, -1000.0, 1000.0),
            "good": (493029.0, -996.0, 990.0),
            "displaced": (493109.0, -1006.0, 980.0),
            "wrong": (503005.0, -1004.0, 1002.0),
        },
    ),
    (
        partial(sppo_hard, beta=0.1),
        {
            "start": (50.0, -10.0, 10.0),
            "good": (9.0, -6.0, 0.0),
            "displaced": (89.0, -16.0, -10.0),
            "wrong": (85.0, -14.0, 12.0),
        },
    ),
    (
        partial(cal_dpo, beta=0.1, calibration=0.5),
        {
            "start": (25.693147, -5.5, 5.5),
            "good": (4.5009115, -3.00091, 0.000911051),
            "displaced": (44.500911, -8.00091, -4.99909),
            "wrong": (45.548587, -7.95257, 6.95257),
        },
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize(("loss", "golden"), GOLDEN)
def test_golden_values(
    loss: Loss,
    golden: dict[str, tuple[float, float, float]],
    fixture: str,
    dtype: torch.dtype,
) -> None:
    # In float32 a log-prob of -60 is known to 4e-6 nats, and the slope multiplies that.
    small = 1e-6 if dtype == torch.float64 else 1e-5
    check_golden(loss, record(FIXTURES[fixture], dtype=dtype), golden[fixture], small)


@pytest.mark.parametrize(("loss", "expected"), [(ipo_sum, 18.49), (ipo_mean, 23.3611111)])
def test_golden_values_from_tokens(loss: Loss, expected: float) -> None:
    close(loss(record_of_tokens()).item(), expected, 1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("loss", "at_start", "chosen", "rejected"),
    [
        (partial(ipo_sum, tau=0.2), 6.25, -5.0, 5.0),
        (partial(ipo_mean, tau=0.2), 6.25, -5.0 / 7, 5.0 / 4),
        (partial(sppo_hard, beta=0.2), 12.5, -5.0, 5.0),
        (
            partial(cal_dpo, beta=0.2, calibration=0.3),
            math.log(2) + 0.3 / (2 * 0.04),
            -(0.5 + 0.3 / 0.2),
            0.5 + 0.3 / 0.2,
        ),
        (sppo_hard, 5e5, -1000.0, 1000.0),
        (cal_dpo, math.log(2) + 2.5e5, -500.5, 500.5),
    ],
)
def test_at_the_start(
    loss: Loss, at_start: float, chosen: float, rejected: float, dtype: torch.dtype
) -> None:
    pair = Pair(-30, -200, -30, -200, 7, 4)
    check_golden(loss, record(pair, dtype=dtype), (at_start, chosen, rejected))


@few
@given(pairs, ties_to_reference, st.floats(0, 2))
def test_gradients_are_the_closed_forms(pair: Pair, beta: float, calibration: float) -> None:
    """Doubt moves the aims by the factor 2 p - 1, and leaves the slopes as they are."""
    aim = (2 * pair.strength - 1) / (2 * beta)
    up, down = pair.chosen - pair.reference_chosen, pair.rejected - pair.reference_rejected
    by_chosen, by_rejected = slopes(partial(ipo_sum, tau=beta), pair)
    close(by_chosen, 2 * (up - down - aim))
    close(by_rejected, -by_chosen)
    by_chosen, by_rejected = slopes(partial(ipo_mean, tau=beta), pair)
    distance = up / pair.tokens_chosen - down / pair.tokens_rejected - aim
    close(by_chosen, 2 * distance / pair.tokens_chosen)
    close(by_rejected, -2 * distance / pair.tokens_rejected)
    by_chosen, by_rejected = slopes(partial(sppo_hard, beta=beta), pair)
    close(by_chosen, 2 * (up - aim))
    close(by_rejected, 2 * (down + aim))
    logistic, _ = slopes(partial(dpo, beta=1.0), pair)
    by_chosen, by_rejected = slopes(partial(cal_dpo, beta=beta, calibration=calibration), pair)
    close(by_chosen, logistic + calibration * 2 * (up - aim))
    close(by_rejected, -logistic + calibration * 2 * (down + aim))


@pytest.mark.parametrize("name", LOSSES)
@fewer
@given(pairs, ties_to_reference)
def test_gradient_is_the_central_difference(name: str, pair: Pair, beta: float) -> None:
    key = "tau" if name.startswith("ipo") else "beta"
    check_central_difference(partial(LOSSES[name], **{key: beta}), record(pair))


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pairs, ties_to_reference)
def test_doubt_is_the_expectation_over_both_judgements(name: str, pair: Pair, beta: float) -> None:
    key = "tau" if name.startswith("ipo") else "beta"
    check_doubt(partial(LOSSES[name], **{key: beta}), pair)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [1e4, -1e4])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_extreme_margins_stay_finite(loss: Loss, margin: float, dtype: torch.dtype) -> None:
    for strength in (1.0, 0.9):
        check_finite(loss, record(replace(at_margin(margin), strength=strength), dtype=dtype))
        check_finite(loss, record(replace(of_ratios(margin, margin)), dtype=dtype))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_without_a_reference_they_refuse(loss: Loss) -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        loss(replace(record(FIXTURES["good"]), reference=None))


# IPO


@few
@given(ratios, ties_to_reference)
def test_ipo_is_zero_at_its_aim_and_symmetric_about_it(away: float, tau: float) -> None:
    aim = 1 / (2 * tau)
    loss = partial(ipo_sum, tau=tau)
    assert value(loss, at_margin(aim)) < 1e-18 / tau**2
    assert abs(slopes(loss, at_margin(aim))[0]) < 1e-9
    close(value(loss, at_margin(aim + away)), value(loss, at_margin(aim - away)))
    close(value(loss, at_margin(aim + away)), away**2)


@few
@given(ratios, lengths, lengths, ties_to_reference)
def test_per_token_the_aim_is_per_token(rejected: float, long: int, short: int, tau: float) -> None:
    chosen = short * (rejected / long + 1 / (2 * tau))
    at_aim = Pair(chosen - 30, rejected - 40, -30, -40, short, long)
    loss = partial(ipo_mean, tau=tau)
    assert value(loss, at_aim) < 1e-15 * (1 + 1 / tau**2)
    assert max(map(abs, slopes(loss, at_aim))) < 1e-7


@few
@given(sure_pairs, ties_to_reference)
def test_only_the_form_per_token_ignores_doubled_tokens(pair: Pair, tau: float) -> None:
    logps = record(pair)
    mean, total = partial(ipo_mean, tau=tau), partial(ipo_sum, tau=tau)
    close(mean(doubled(logps)).item(), mean(logps).item())
    close(total(doubled(logps)).item(), (2 * pair.margin - 1 / (2 * tau)) ** 2)


@few
@given(sure_pairs, lengths, ties_to_reference)
def test_for_equal_lengths_the_forms_differ_by_the_scale_of_tau(
    pair: Pair, length: int, tau: float
) -> None:
    """h / n - 1 / (2 tau) = (h - n / (2 tau)) / n: tau per token is tau / n over the response."""
    same = replace(pair, tokens_chosen=length, tokens_rejected=length)
    mean = value(partial(ipo_mean, tau=tau), same)
    close(mean, value(partial(ipo_sum, tau=tau / length), same) / length**2)


@pytest.mark.parametrize(("tau", "best"), [(0.1, 3.0), (1.0, 0.3)])
def test_with_labels_that_are_right_four_times_in_five(tau: float, best: float) -> None:
    """(2 p - 1) / (2 tau), where DPO would ask for logit p = 1.39 logits."""
    loss = partial(ipo_sum, tau=tau)
    for away, sign in ((-0.01, -1), (0.01, 1)):
        assert slopes(loss, replace(at_margin(best + away), strength=0.8))[0] * sign > 0
    assert abs(slopes(loss, replace(at_margin(best), strength=0.8))[0]) < 1e-9


def test_three_losses_of_one_pair_tell_each_other_apart() -> None:
    """Margin 6 at beta = tau = 0.1 is beyond IPO's aim of 5: it pulls back where DPO pushes on."""
    pair = at_margin(6.0)
    close(value(ipo_sum, pair), 1.0)
    close(slopes(ipo_sum, pair)[0], 2.0)
    close(slopes(dpo, pair)[0], -0.035434, 1e-6)


# SPPO and Cal-DPO


@few
@given(ratios, ratios, ties_to_reference)
def test_sppo_is_two_parabolas(up: float, down: float, beta: float) -> None:
    aim = 1 / (2 * beta)
    loss = partial(sppo_hard, beta=beta)
    expected = (up - aim) ** 2 + (down + aim) ** 2
    close(value(loss, of_ratios(up, down)), expected)
    assert value(loss, of_ratios(aim, -aim)) < 1e-18 / beta**2


@few
@given(ratios, ratios, ties_to_reference, strengths)
def test_with_doubt_sppo_is_its_soft_form_and_a_constant(
    up: float, down: float, beta: float, p: float
) -> None:
    """Soft: (up - (p - 1/2) / beta)^2 + (down - (1/2 - p) / beta)^2."""
    aim = (p - 0.5) / beta
    soft = (up - aim) ** 2 + (down + aim) ** 2
    constant = 2 * p * (1 - p) / beta**2
    loss = value(partial(sppo_hard, beta=beta), replace(of_ratios(up, down), strength=p))
    close(loss, soft + constant)


@few
@given(st.floats(0.1, 60.0), ties_to_reference)
def test_where_the_judge_knows_nothing_sppo_pulls_to_the_reference(
    away: float, beta: float
) -> None:
    loss = partial(sppo_hard, beta=beta)
    above, below = slopes(loss, replace(of_ratios(away, -away), strength=0.5))
    close(above, 2 * away)
    close(below, -2 * away)


@few
@given(ratios, st.floats(1.0, 60.0), ties_to_reference)
def test_sppo_counts_more_than_the_margin(up: float, shift: float, beta: float) -> None:
    loss = partial(sppo_hard, beta=beta)
    plain, shifted = of_ratios(up, -up), of_ratios(up + shift, -up + shift)
    close(value(loss, shifted) - value(loss, plain), 2 * shift**2)


@few
@given(pairs, ties_to_reference)
def test_cal_dpo_without_the_pull_is_dpo_at_beta_1(pair: Pair, beta: float) -> None:
    loss = partial(cal_dpo, beta=beta, calibration=0.0)
    close(value(loss, pair), value(partial(dpo, beta=1.0), pair))
    assert slopes(loss, pair) == pytest.approx(slopes(partial(dpo, beta=1.0), pair), abs=1e-12)


@few
@given(pairs, ties_to_reference, st.floats(0.01, 2))
def test_cal_dpo_is_dpo_and_sppo(pair: Pair, beta: float, calibration: float) -> None:
    assume(abs(pair.margin) < 100)
    whole = value(partial(cal_dpo, beta=beta, calibration=calibration), pair)
    pull = calibration * value(partial(sppo_hard, beta=beta), pair)
    close(whole - value(partial(dpo, beta=1.0), pair), pull, 1e-9)
