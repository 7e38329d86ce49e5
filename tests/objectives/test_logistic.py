import math
from dataclasses import replace

import pytest
import torch

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import dpo
from tests.objectives.pairs import (
    FIXTURES,
    Pair,
    at_margin,
    close,
    gradients,
    loss_of,
    record,
    record_of_tokens,
)

# Loss and slope by the rejected log-prob, from 40-digit arithmetic.
GOLDEN = [
    ("start", 0.0, 0.69314718, 0.05),
    ("good", 0.0, 0.40318605, 0.0331812),
    ("displaced", 0.0, 0.40318605, 0.0331812),
    ("wrong", 0.0, 0.85435524, 0.0574443),
    ("start", 0.1, 0.69314718, 0.04),
    ("good", 0.1, 0.47318605, 0.0231812),
    ("displaced", 0.1, 0.47318605, 0.0231812),
    ("wrong", 0.1, 0.82435524, 0.0474443),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("fixture", "label_smoothing", "loss", "slope"), GOLDEN)
def test_golden_values(
    fixture: str, label_smoothing: float, loss: float, slope: float, dtype: torch.dtype
) -> None:
    logps = record(FIXTURES[fixture], dtype=dtype)
    values = dpo(logps, beta=0.1, label_smoothing=label_smoothing)
    assert values.dtype == dtype
    close(values.item(), loss, 1e-6)
    chosen, rejected = gradients(values, logps)
    close(chosen[0], -slope, 1e-6)
    close(rejected[0], slope, 1e-6)


def test_golden_values_from_tokens() -> None:
    logps = record_of_tokens()
    torch.testing.assert_close(logps.sums.tolist(), [-1.7, -4.4])
    torch.testing.assert_close(logps.reference_sums.tolist(), [-1.9, -3.9])
    torch.testing.assert_close(logps.log_ratios.tolist(), [0.2, -0.5])
    close(logps.margins.item(), 0.7)
    loss = dpo(logps, beta=0.1)
    close(loss.item(), 0.658759556, 1e-8)
    (chosen,), (rejected,) = gradients(loss, logps)
    close(chosen, -0.1 * 0.482507142, 1e-9)
    close(rejected, 0.1 * 0.482507142, 1e-9)


@pytest.mark.parametrize(
    ("noise", "best", "least"), [(0.1, 2.19722, 0.325083), (0.2, 1.38629, 0.500402)]
)
def test_with_smoothing_the_best_margin_is_finite(noise: float, best: float, least: float) -> None:
    beta = 0.1
    best_margin = math.log((1 - noise) / noise) / beta
    close(best_margin * beta, best, 1e-5)
    close(loss_of(at_margin(best_margin), beta=beta, label_smoothing=noise), least, 1e-6)
    for offset, sign in ((-0.5, -1), (0.0, 0), (0.5, 1)):
        logps = record(at_margin(best_margin + offset))
        (slope,), _ = gradients(dpo(logps, beta=beta, label_smoothing=noise), logps)
        assert (abs(slope) > 1e-12) * math.copysign(1, slope) == sign


@pytest.mark.parametrize(("c", "threshold"), [(5, 0.47408), (10, 0.31326), (30, 0.04859)])
def test_ranking_threshold_numbers(c: float, threshold: float) -> None:
    """The policy itself ranks the pair rightly exactly where the loss is below -log sigma(beta c).

    Chen et al. 2024, Theorem 4.1; c = log (reference of rejected / reference of chosen).
    """
    just_tied = Pair(-40, -40, -40 - c, -40)
    close(loss_of(just_tied, beta=0.1), threshold, 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("margin", [1e4, -1e4])
def test_extreme_margins_stay_finite(margin: float, noise: float, dtype: torch.dtype) -> None:
    logps = record(Pair(margin, 0, 0, 0), dtype=dtype)
    loss = dpo(logps, beta=1.0, label_smoothing=noise)
    close(loss.item(), (noise if margin > 0 else 1 - noise) * 1e4, 1e-6)
    (slope,), _ = gradients(loss, logps)
    close(slope, noise if margin > 0 else noise - 1, 1e-6)


def test_order_of_pairs_does_not_matter() -> None:
    batch = list(FIXTURES.values())
    forward, backward = dpo(record(*batch)), dpo(record(*reversed(batch)))
    torch.testing.assert_close(forward, backward.flip(0), rtol=0, atol=1e-15)
    torch.testing.assert_close(
        forward, torch.cat([dpo(record(pair)) for pair in batch]), rtol=0, atol=1e-15
    )


def test_untrained_tokens_count_for_nothing() -> None:
    logps = record(FIXTURES["good"])
    mask = logps.mask.clone()
    mask[[3, 30]] = False
    tokens = logps.tokens.detach().clone()
    tokens[[3, 30]] = -7.0
    masked = replace(logps, mask=mask, tokens=tokens.requires_grad_())
    plain = replace(
        logps,
        mask=mask[mask],
        tokens=logps.tokens[mask],
        response=logps.response[mask],
        reference=logps.reference[mask] if logps.reference is not None else None,
    )
    loss = dpo(masked)
    torch.testing.assert_close(loss, dpo(plain))
    (gradient,) = torch.autograd.grad(loss.sum(), masked.tokens)
    assert gradient[[3, 30]].tolist() == [0.0, 0.0]
    assert (gradient[mask] != 0).all()


def test_four_ranked_responses_are_six_pairs() -> None:
    """A group with K = 4 gives each relation the loss of that pair alone."""
    policy = [-3.0, -5.0, -4.0, -9.0]
    reference = [-4.0, -4.0, -4.5, -7.0]
    relations = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    group = LogProbs.of_groups(
        [[torch.tensor([value], dtype=torch.float64) for value in policy]],
        reference=[[torch.tensor([value], dtype=torch.float64) for value in reference]],
        relations=relations,
    )
    alone = [loss_of(Pair(policy[i], policy[j], reference[i], reference[j])) for i, j in relations]
    torch.testing.assert_close(dpo(group).tolist(), alone)


@pytest.mark.parametrize("beta", [0.0, -0.1, math.inf, math.nan])
def test_beta_out_of_range(beta: float) -> None:
    with pytest.raises(ValueError, match=r"beta must be in \(0, inf\)"):
        dpo(record(FIXTURES["good"]), beta=beta)


@pytest.mark.parametrize("noise", [-0.1, 0.5, math.nan])
def test_smoothing_out_of_range(noise: float) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 0.5\)"):
        dpo(record(FIXTURES["good"]), label_smoothing=noise)


def test_without_a_reference_it_refuses() -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        dpo(replace(record(FIXTURES["good"]), reference=None))
