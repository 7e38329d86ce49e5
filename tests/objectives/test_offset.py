import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.offset import modpo, odpo, odpo_linear
from tests.objectives.pairs import (
    FIXTURES,
    Pair,
    at_margin,
    betas,
    check_central_difference,
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
LOSSES: dict[str, Callable[..., Tensor]] = {
    "odpo": odpo,
    "odpo_linear": odpo_linear,
    "modpo": modpo,
}
gaps = st.floats(-20.0, 20.0)
positive_gaps = st.floats(0.01, 20.0)
weights = st.floats(0.0, 2.0)
shares = st.floats(0.05, 1.0)


def judged(pair: Pair, gap: float, dtype: torch.dtype = torch.float64) -> LogProbs:
    """One pair whose winner was found better by `gap`."""
    return replace(record(pair, dtype=dtype), margin=torch.tensor([gap], dtype=dtype))


def slope(loss: Callable[[LogProbs], Tensor], logps: LogProbs) -> float:
    """dL / d log-prob chosen; the rejected one's is the same, its sign turned."""
    (chosen,), (rejected,) = gradients(loss(logps), logps)
    assert rejected == -chosen
    return chosen


# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic: offset 0.7.
WITH_OFFSET = {
    "start": (1.103186, -0.0668188, 0.0668188),
    "good": (0.69314718, -0.05, 0.05),
    "displaced": (0.69314718, -0.05, 0.05),
    "wrong": (1.3132617, -0.0731059, 0.0731059),
}
# Two objectives of equal weight, margin 1 for the other one.
WITH_OTHERS = {
    "start": (1.3132617, -0.146212, 0.146212),
    "good": (0.51301525, -0.0802625, 0.0802625),
    "displaced": (0.51301525, -0.0802625, 0.0802625),
    "wrong": (1.7839007, -0.166404, 0.166404),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize(
    ("loss", "gap", "golden"),
    [
        (partial(odpo, beta=0.1, alpha=1.0), math.exp(0.7), WITH_OFFSET),
        (partial(odpo, beta=0.1, alpha=0.5), math.exp(1.4), WITH_OFFSET),
        (partial(odpo_linear, beta=0.1, alpha=1.0), 0.7, WITH_OFFSET),
        (partial(odpo_linear, beta=0.1, alpha=0.1), 7.0, WITH_OFFSET),
        (partial(modpo, beta=0.1, share=0.5), 1.0, WITH_OTHERS),
    ],
)
def test_golden_values(
    loss: Callable[[LogProbs], Tensor],
    gap: float,
    golden: dict[str, tuple[float, float, float]],
    fixture: str,
    dtype: torch.dtype,
) -> None:
    check_golden(loss, judged(FIXTURES[fixture], gap, dtype), golden[fixture])


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_start(dtype: torch.dtype) -> None:
    """Softplus(offset), slope -+beta sigmoid(offset)."""
    logps = judged(Pair(-30, -200, -30, -200, 7, 4), 3.0, dtype)
    for loss, offset, steepness in (
        (partial(odpo, beta=0.3, alpha=0.8), 0.8 * math.log(3), 0.3),
        (partial(odpo_linear, beta=0.3, alpha=0.8), 2.4, 0.3),
        (partial(modpo, beta=0.3, share=0.25), 9.0, 1.2),
    ):
        pull = steepness / (1 + math.exp(-offset))
        check_golden(loss, logps, (math.log1p(math.exp(offset)), -pull, pull))


def logit_of(name: str, pair: Pair, gap: float, setting: float, beta: float) -> tuple[float, float]:
    """The logit of the loss, and its slope by the margin h."""
    z = beta * pair.margin
    if name == "odpo":
        return z - setting * math.log(gap), beta
    if name == "odpo_linear":
        return z - setting * gap, beta
    return (z - (1 - setting) * gap) / setting, beta / setting


def with_setting(name: str, beta: float, setting: float) -> Callable[[LogProbs], Tensor]:
    key = "share" if name == "modpo" else "alpha"
    return partial(LOSSES[name], beta=beta, **{key: setting})


@pytest.mark.parametrize("name", LOSSES)
@few
@given(sure_pairs, positive_gaps, shares, betas)
def test_loss_and_gradient_are_the_closed_forms(
    name: str, pair: Pair, gap: float, setting: float, beta: float
) -> None:
    logps, loss = judged(pair, gap), with_setting(name, beta, setting)
    logit, steepness = logit_of(name, pair, gap, setting, beta)
    close(loss(logps).item(), value(partial(dpo, beta=1.0), at_margin(logit)))
    close(slope(loss, logps), -steepness * torch.tensor(-logit).double().sigmoid().item(), 1e-6)


@pytest.mark.parametrize("name", LOSSES)
@fewer
@given(pairs, positive_gaps, st.floats(0.3, 1.0), st.floats(0.01, 0.3))
def test_gradient_is_the_central_difference(
    name: str, pair: Pair, gap: float, setting: float, beta: float
) -> None:
    check_central_difference(with_setting(name, beta, setting), judged(pair, gap))


@pytest.mark.parametrize("name", ["odpo_linear", "modpo"])
@few
@given(pairs, gaps, shares, betas)
def test_doubt_is_the_expectation_over_both_judgements(
    name: str, pair: Pair, gap: float, setting: float, beta: float
) -> None:
    """Judged the other way round, the gap has the other sign."""
    loss = with_setting(name, beta, setting)
    sure = replace(pair, strength=1.0)
    right, wrong = loss(judged(sure, gap)).item(), loss(judged(sure.swapped, -gap)).item()
    expected = pair.strength * right + (1 - pair.strength) * wrong
    close(loss(judged(pair, gap)).item(), expected)


@few
@given(st.floats(0.55, 0.99), gaps, st.floats(0.1, 1.0))
def test_doubt_lowers_the_lead_that_is_asked_for(p: float, gap: float, setting: float) -> None:
    """The least loss: beta h = offset + logit p."""
    doubt = math.log(p / (1 - p))
    for loss, best in (
        (partial(odpo_linear, beta=1.0, alpha=setting), setting * gap + doubt),
        (partial(modpo, beta=1.0, share=setting), (1 - setting) * gap + setting * doubt),
    ):
        for away, sign in ((-0.1, -1), (0.1, 1)):
            logps = judged(replace(at_margin(best + away), strength=p), gap)
            assert slope(loss, logps) * sign > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [1e4, -1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_margins_stay_finite(name: str, margin: float, dtype: torch.dtype) -> None:
    for gap in (1e-4, 1.0, 1e4):
        logps = judged(at_margin(margin), gap, dtype)
        check_finite(partial(LOSSES[name], beta=1.0), logps)
    # At gap 1 ODPO has no offset, the others one logit.
    offset = {"odpo": 0.0, "odpo_linear": 1.0, "modpo": 1.0}[name]
    steep = 2.0 if name == "modpo" else 1.0
    expected = max(0.0, -margin * steep + offset)
    logps = judged(at_margin(margin), 1.0, dtype)
    close(LOSSES[name](logps, beta=1.0).item(), expected, 1e-6)
    pull = slope(partial(LOSSES[name], beta=1.0), logps)
    close(pull, 0.0 if margin > 0 else -steep, 1e-6)


# Reductions


@pytest.mark.parametrize(
    ("loss", "gap"),
    [
        (partial(odpo, alpha=0.0), 7.0),
        (partial(odpo, alpha=1.0), 1.0),
        (partial(odpo_linear, alpha=0.0), 7.0),
        (partial(odpo_linear, alpha=1.0), 0.0),
        (partial(modpo, share=1.0), 7.0),
    ],
)
@few
@given(sure_pairs, betas)
def test_without_an_offset_it_is_dpo(
    loss: Callable[..., Tensor], gap: float, pair: Pair, beta: float
) -> None:
    logps = judged(pair, gap)
    close(loss(logps, beta=beta).item(), dpo(logps, beta=beta).item(), 1e-12)
    close(slope(partial(loss, beta=beta), logps), slope(partial(dpo, beta=beta), logps), 1e-12)


@few
@given(positive_gaps, st.floats(0.1, 2.0))
def test_odpo_is_odpo_linear_of_the_logarithm(gap: float, alpha: float) -> None:
    pair = FIXTURES["good"]
    expected = odpo_linear(judged(pair, math.log(gap)), alpha=alpha).item()
    close(odpo(judged(pair, gap), alpha=alpha).item(), expected)


@pytest.mark.parametrize("name", LOSSES)
@few
@given(st.floats(-50, 50), positive_gaps, st.floats(0.1, 5.0))
def test_a_larger_gap_costs_more(name: str, margin: float, gap: float, more: float) -> None:
    loss = LOSSES[name]
    small, large = judged(at_margin(margin), gap), judged(at_margin(margin), gap + more)
    assert loss(large).item() > loss(small).item()
    assert slope(loss, large) < slope(loss, small) < 0


@few
@given(gaps, st.floats(0.05, 0.95))
def test_modpo_asks_nothing_where_the_others_explain_the_judgement(
    gap: float, share: float
) -> None:
    """At beta h = (1 - w) m the logit is 0: a coin for the judged objective."""
    explained = at_margin((1 - share) * gap / 0.1)
    close(modpo(judged(explained, gap), share=share).item(), math.log(2))


# Refusals


@pytest.mark.parametrize("gap", [0.0, -1.0, math.nan, -math.inf])
def test_odpo_makes_a_gap_without_logarithm_visible(gap: float) -> None:
    """Log 0 would give loss 0 and no gradient: the pair would be passed over in silence."""
    logps = replace(
        record(FIXTURES["good"], FIXTURES["wrong"]),
        margin=torch.tensor([gap, 2.0], dtype=torch.float64),
    )
    assert odpo(logps).isnan().tolist() == [True, False]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_without_reference_or_margins_they_refuse(loss: Callable[[LogProbs], Tensor]) -> None:
    logps = judged(FIXTURES["good"], 1.0)
    with pytest.raises(ValueError, match="carry no reference"):
        loss(replace(logps, reference=None))
    with pytest.raises(ValueError, match="carry no `margin`"):
        loss(replace(logps, margin=None))
