"""Identities that hold for every pair, beta, smoothing and strength."""

import math
from dataclasses import replace
from functools import partial

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from preftune.objectives.losses.logistic import dpo
from tests.objectives.pairs import (
    Pair,
    at_margin,
    betas,
    check_central_difference,
    check_doubt,
    close,
    few,
    fewer,
    gradients,
    loss_of,
    nats,
    pairs,
    record,
    strengths,
    sure_pairs,
)

noises = st.floats(0.0, 0.49)


@given(nats, nats, betas, noises, strengths)
def test_at_the_reference_loss_is_log_2_whatever_the_data(
    chosen: float, rejected: float, beta: float, noise: float, strength: float
) -> None:
    logps = record(Pair(chosen, rejected, chosen, rejected, strength=strength))
    loss = dpo(logps, beta=beta, label_smoothing=noise)
    close(loss.item(), math.log(2))
    q = strength * (1 - noise) + (1 - strength) * noise
    (by_chosen,), (by_rejected,) = gradients(loss, logps)
    close(by_chosen, -beta * (q - 0.5))
    close(by_rejected, beta * (q - 0.5))


@given(sure_pairs, betas)
def test_at_the_reference_the_slope_is_half_beta(pair: Pair, beta: float) -> None:
    pair = replace(pair, chosen=pair.reference_chosen, rejected=pair.reference_rejected)
    logps = record(pair)
    (chosen,), (rejected,) = gradients(dpo(logps, beta=beta), logps)
    close(chosen, -beta / 2)
    close(rejected, beta / 2)


@given(pairs, betas, noises)
def test_gradient_is_the_closed_form(pair: Pair, beta: float, noise: float) -> None:
    """dL/dh = beta (sigmoid(beta h) - q)."""
    logps = record(pair)
    (chosen,), (rejected,) = gradients(dpo(logps, beta=beta, label_smoothing=noise), logps)
    q = pair.strength * (1 - noise) + (1 - pair.strength) * noise
    z = torch.tensor(beta * pair.margin, dtype=torch.float64)
    slope = beta * (z.sigmoid().item() - q)
    close(chosen, slope)
    close(rejected, -slope)


@fewer
@given(pairs, betas, noises)
def test_gradient_is_the_central_difference(pair: Pair, beta: float, noise: float) -> None:
    loss = partial(dpo, beta=beta, label_smoothing=noise)
    check_central_difference(loss, record(pair))


@few
@given(pairs, betas, noises)
def test_doubt_is_the_expectation_over_both_judgements(
    pair: Pair, beta: float, noise: float
) -> None:
    check_doubt(partial(dpo, beta=beta, label_smoothing=noise), pair)


@few
@given(st.floats(-100, 100), betas)
def test_curvature_is_never_negative(margin: float, beta: float) -> None:
    """d2L/dh2 = beta^2 sigmoid(z) sigmoid(-z)."""
    logps = record(Pair(margin - 30, -40, -30, -40, 1, 1))
    (slope,) = torch.autograd.grad(dpo(logps, beta=beta).sum(), logps.tokens, create_graph=True)
    (curvature,) = torch.autograd.grad(slope[0], logps.tokens)
    z = torch.tensor(beta * margin, dtype=torch.float64)
    close(curvature[0].item(), (beta**2 * z.sigmoid() * (-z).sigmoid()).item())


@given(sure_pairs, betas, noises)
def test_flipping_the_label_shifts_the_loss_by_a_known_multiple_of_the_margin(
    pair: Pair, beta: float, noise: float
) -> None:
    """L(h) - L(-h) = -(1 - 2 e) beta h."""
    loss = partial(loss_of, beta=beta, label_smoothing=noise)
    shift = loss(pair) - loss(pair.swapped)
    close(shift, -(1 - 2 * noise) * beta * pair.margin)


@given(pairs, betas, noises, st.floats(-50, 50))
def test_what_depends_on_the_prompt_alone_cancels(
    pair: Pair, beta: float, noise: float, shift: float
) -> None:
    shifted = replace(pair, chosen=pair.chosen + shift, rejected=pair.rejected + shift)
    close(
        loss_of(shifted, beta=beta, label_smoothing=noise),
        loss_of(pair, beta=beta, label_smoothing=noise),
    )


@given(pairs, betas, noises)
def test_swapping_policy_with_reference_and_winner_with_loser_changes_nothing(
    pair: Pair, beta: float, noise: float
) -> None:
    swapped = Pair(
        pair.reference_rejected,
        pair.reference_chosen,
        pair.rejected,
        pair.chosen,
        strength=pair.strength,
    )
    close(
        loss_of(swapped, beta=beta, label_smoothing=noise),
        loss_of(pair, beta=beta, label_smoothing=noise),
    )


@given(st.floats(-100, 100), st.floats(0.01, 50), betas)
def test_a_larger_margin_costs_less(margin: float, more: float, beta: float) -> None:
    assert loss_of(at_margin(margin + more), beta=beta) <= loss_of(at_margin(margin), beta=beta)


@given(st.floats(-100, 100), betas, noises)
def test_beta_only_scales_the_margin(margin: float, beta: float, noise: float) -> None:
    close(
        loss_of(at_margin(margin), beta=beta, label_smoothing=noise),
        loss_of(at_margin(beta * margin), beta=1.0, label_smoothing=noise),
    )


@given(st.floats(-100, 100))
def test_for_small_beta_the_loss_leaves_log_2_with_half_the_margin(margin: float) -> None:
    beta = 1e-7
    slope = (loss_of(at_margin(margin), beta=beta) - math.log(2)) / beta
    assert math.isclose(slope, -margin / 2, rel_tol=1e-3, abs_tol=1e-3)


@given(st.floats(-30, 30), betas, noises)
def test_label_smoothing_is_the_expectation_over_flips(
    margin: float, beta: float, noise: float
) -> None:
    expected = (1 - noise) * loss_of(at_margin(margin), beta=beta)
    expected += noise * loss_of(at_margin(-margin), beta=beta)
    close(loss_of(at_margin(margin), beta=beta, label_smoothing=noise), expected)
    # ... which is the clean loss plus e z.
    clean = loss_of(at_margin(margin), beta=beta)
    close(
        loss_of(at_margin(margin), beta=beta, label_smoothing=noise), clean + noise * beta * margin
    )


@given(sure_pairs, betas)
def test_smoothing_of_zero_is_dpo(pair: Pair, beta: float) -> None:
    assert loss_of(pair, beta=beta, label_smoothing=0.0) == loss_of(pair, beta=beta)


@given(st.floats(0.01, 100), betas)
def test_at_smoothing_near_one_half_only_the_size_of_the_margin_counts(
    margin: float, beta: float
) -> None:
    noise = 0.5 - 1e-12
    losses, slopes = [], []
    for sign in (1, -1):
        logps = record(at_margin(sign * margin))
        loss = dpo(logps, beta=beta, label_smoothing=noise)
        losses.append(loss.item())
        slopes.append(gradients(loss, logps)[0][0])
    close(losses[0], losses[1])
    close(slopes[0], -slopes[1])
    assert losses[0] > math.log(2)
    assert slopes[0] > 0


@given(st.floats(-30, 30), st.floats(0.01, 0.49))
def test_smoothed_loss_is_a_divergence_plus_the_entropy_of_the_labels(
    z: float, noise: float
) -> None:
    labels = torch.tensor([1 - noise, noise], dtype=torch.float64)
    model = torch.tensor([z, -z], dtype=torch.float64)
    divergence = (labels * (labels.log() - logsigmoid(model))).sum().item()
    entropy = -(labels * labels.log()).sum().item()
    close(loss_of(at_margin(z), beta=1.0, label_smoothing=noise), divergence + entropy)


@given(st.floats(-100, 100), betas, noises, strengths)
def test_strength_and_smoothing_compose_as_two_flips(
    margin: float, beta: float, noise: float, strength: float
) -> None:
    both = replace(at_margin(margin), strength=strength)
    flipped = strength * noise + (1 - strength) * (1 - noise)
    close(
        loss_of(both, beta=beta, label_smoothing=noise),
        loss_of(at_margin(margin), beta=beta, label_smoothing=min(flipped, math.nextafter(0.5, 0))),
    )


@given(sure_pairs, betas)
def test_ranking_threshold_property(pair: Pair, beta: float) -> None:
    c = pair.reference_rejected - pair.reference_chosen
    threshold = -logsigmoid(torch.tensor(beta * c, dtype=torch.float64)).item()
    close(loss_of(replace(pair, chosen=-40, rejected=-40), beta=beta), threshold)
    if pair.chosen >= pair.rejected:
        assert loss_of(pair, beta=beta) <= threshold + 1e-9
    else:
        assert loss_of(pair, beta=beta) >= threshold - 1e-9
