"""Losses of pairs with a beta or a margin that follows what the step's other pairs are like."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.rewards import Settings
from preftune.objectives.settings import BELOW_ONE, BETA, NOT_NEGATIVE

MEMORY = 0.9
"""What a step leaves of the running means and deviations."""

LEAST_BETA = 1e-3
"""Beta-DPO's beta does not fall below it (or below `beta`, where that is smaller)."""

SAME_MARGIN = 1e-3
"""Nats. Margins that deviate by less than this differ only by rounding, as at the start."""

SAME_MEAN_MARGIN = 1e-5
"""The same for margins per token."""


def beta_dpo(
    logps: LogProbs,
    *,
    beta: float = 0.1,
    sensitivity: float = 0.6,
    dropped: float = 0.2,
    margin_mean: Tensor | None = None,
    margin_deviation: Tensor | None = None,
    draws: Tensor | None = None,
) -> Tensor:
    """Beta-DPO: DPO with a beta that follows the step's margins, after leaving outliers out.

    L = softplus(-b h),   b = max(0.001, beta (1 + sensitivity (mean h - margin_mean)))

    Of the N pairs of a step all but a share `dropped` are kept, drawn without replacement with
    weights exp(-z^2 / 2), z = (h - margin_mean) / margin_deviation. Those dropped have the loss 0,
    the others are scaled up by what is missing, so the sum over N is the mean of the kept. The
    mean h is that of the kept. Neither the draw nor b has a gradient.

    The draw depends on `draws` and the margins alone: every process and every resumed run makes
    the same one. It waits for the device once a step, unless nothing is dropped.

    Args:
        logps: Record of a whole optimiser step of pairs, with a reference.
        beta: Strength of the tie to the reference, > 0, per nat, at an average step.
        sensitivity: How much beta follows the mean margin, >= 0, per nat.
        dropped: Share of the pairs that are left out, in [0, 1); at least one pair is kept.
        margin_mean: () running mean of h, nats; alone that of the record.
        margin_deviation: () running standard deviation of h, nats; alone that of the record.
        draws: () how many draws there were so far; alone 0.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Wu et al. 2024, arXiv:2407.08639.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> beta_dpo(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("sensitivity", sensitivity)
    BELOW_ONE.check("dropped", dropped)
    margins = logps.margins.detach()
    weights = torch.ones_like(margins) if logps.weight is None else logps.weight
    mean, deviation = _moments(margins, weights)
    mean = mean if margin_mean is None else margin_mean
    deviation = deviation if margin_deviation is None else margin_deviation
    z = (margins - mean) / deviation.clamp(min=SAME_MARGIN)
    kept = weights * _drawn(-z.square() / 2, 1 - dropped, draws)
    now = (margins * kept).sum() / kept.sum()
    follows = (beta * (1 + sensitivity * (now - mean))).clamp(min=min(beta, LEAST_BETA))

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(follows * pair.margins)

    return in_expectation(loss, logps) * (kept / weights) * (weights.sum() / kept.sum())


def beta_dpo_state(
    logps: LogProbs, state: Mapping[str, Tensor], settings: Settings
) -> dict[str, Tensor]:
    """Beta-DPO's running mean and deviation of the margin, and its number of draws.

    Args:
        logps: Record of a whole optimiser step.
        state: What the step before left; empty before the first step.
        settings: Those of `beta_dpo`.

    Returns:
        The new state, without gradient.
    """
    found = _running("margin", logps.margins.detach(), logps, state, SAME_MARGIN)
    draws = state.get("draws")
    found["draws"] = found["margin_mean"].new_zeros(()) if draws is None else draws + 1
    return found


def _drawn(log_weights: Tensor, share: float, draws: Tensor | None) -> Tensor:
    """(relation,) 1 where drawn, else 0: a share of them, without replacement, by their weights."""
    count = len(log_weights)
    # What rounding takes from a whole number of pairs is given back.
    number = max(1, math.floor(count * share + 1e-9))
    if number >= count:
        return torch.ones_like(log_weights)
    generator = torch.Generator().manual_seed(0 if draws is None else int(draws))
    waits = torch.empty(count, dtype=torch.float64).exponential_(generator=generator)
    # Exponential waiting times: those that ring first are a draw without replacement.
    first = (log_weights - waits.log().to(log_weights)).topk(number).indices
    return torch.zeros_like(log_weights).index_fill(0, first, 1.0)


def alpha_dpo(
    logps: LogProbs,
    *,
    beta: float = 2.5,
    gamma: float = 1.5,
    alpha: float = 0.1,
    gap_mean: Tensor | None = None,
    gap_deviation: Tensor | None = None,
) -> Tensor:
    """Alpha-DPO: SimPO with a larger margin for pairs that policy and reference disagree about.

    L = softplus(-(beta (l_w / |w| - l_l / |l|) - gamma - beta alpha z))
    z = (g - gap_mean) / gap_deviation, without gradient; g is h with every log-ratio per token

    gamma is the margin itself. The authors' run files give the ratio gamma / beta instead: their
    0.6 at beta 2.5 is gamma = 1.5 here. alpha acts inside beta, as in their code.

    Args:
        logps: Record of a whole optimiser step of pairs, with a reference.
        beta: Slope, > 0, per nat per token.
        gamma: Margin of an average pair, >= 0, in logits.
        alpha: How much the margin follows the pair's own gap, >= 0; 0 is SimPO.
        gap_mean: () running mean of g, nats per token; alone that of the record.
        gap_deviation: () running standard deviation of g; alone that of the record.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Wu et al. 2024, arXiv:2410.10148.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -1.0])], [torch.tensor([-1.6])]
        >>> alpha_dpo(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("gamma", gamma)
    NOT_NEGATIVE.check("alpha", alpha)
    gaps = logps.difference(logps.mean_log_ratios).detach()
    mean, deviation = _moments(gaps, logps.weight)
    mean = mean if gap_mean is None else gap_mean
    deviation = deviation if gap_deviation is None else gap_deviation

    def loss(pair: LogProbs) -> Tensor:
        gap = pair.difference(pair.mean_log_ratios).detach()
        z = (gap - mean) / deviation.clamp(min=SAME_MEAN_MARGIN)
        return smoothed(beta * (pair.difference(pair.means) - alpha * z) - gamma)

    return in_expectation(loss, logps)


def alpha_dpo_state(
    logps: LogProbs, state: Mapping[str, Tensor], settings: Settings
) -> dict[str, Tensor]:
    """Alpha-DPO's running mean and deviation of the gap between log-ratios per token.

    Args:
        logps: Record of a whole optimiser step.
        state: What the step before left; empty before the first step.
        settings: Those of `alpha_dpo`.

    Returns:
        The new state, without gradient.
    """
    gaps = logps.difference(logps.mean_log_ratios).detach()
    return _running("gap", gaps, logps, state, SAME_MEAN_MARGIN)


def _running(
    name: str, values: Tensor, logps: LogProbs, state: Mapping[str, Tensor], same: float
) -> dict[str, Tensor]:
    """Mean and deviation of a relation's value, moved by one step.

    Nothing is remembered of a time when all values were the same but for rounding: at the start
    the policy is the reference, and a deviation of 0 would make every later pair an outlier.
    """
    now = _moments(values, logps.weight)
    names = (f"{name}_mean", f"{name}_deviation")
    if not state:
        return dict(zip(names, now, strict=True))
    before = [state[one] for one in names]
    memory = MEMORY * (before[1] > same).to(before[1])
    return {
        one: memory * old + (1 - memory) * new
        for one, old, new in zip(names, before, now, strict=True)
    }


def _moments(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """() mean and () standard deviation, of the values themselves: 0 for a single one."""
    weights = torch.ones_like(values) if weights is None else weights
    shares = weights / weights.sum()
    mean = (shares * values).sum()
    return mean, (shares * (values - mean).square()).sum().sqrt()
