"""Losses of single responses that were judged good or bad, without a pair."""

from collections.abc import Mapping

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.rewards import Settings
from preftune.objectives.settings import BELOW_ONE, BETA, NOT_NEGATIVE


def kto(
    logps: LogProbs,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
    kl: Tensor | None = None,
) -> Tensor:
    """KTO: what a response is worth against how far the policy has moved elsewhere.

    L = desirable_weight (1 - sigmoid(beta (log-ratio - kl)))    thumbs up
    L = undesirable_weight (1 - sigmoid(beta (kl - log-ratio)))  thumbs down

    kl estimates KL(policy || reference): the mean log-ratio over responses to other prompts, at
    least 0, without gradient. It is of all responses of the record, so the record should be that
    of a whole optimiser step.

    Args:
        logps: Record with a reference and thumbs; with mismatched responses unless `kl` is given.
        beta: Strength of the tie to the reference, > 0, per nat.
        desirable_weight: Weight of responses with thumbs up, >= 0.
        undesirable_weight: Weight of those with thumbs down, >= 0.
        kl: () nats, to use instead of the estimate from the record.

    Returns:
        Loss (response,), unreduced, 0 for a response without a thumb: to be divided by the number
        of responses with one in the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference, no thumbs or nothing
            to estimate `kl` from.

    References:
        Ethayarajh et al. 2024, arXiv:2402.01306.

    Example:
        >>> from dataclasses import replace
        >>> one = [[torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]]
        >>> record = replace(
        ...     LogProbs.of_groups(one, reference=one), good=torch.tensor([1.0, -1.0])
        ... )
        >>> kto(record, kl=torch.tensor(0.0))
        tensor([0.5000, 0.5000])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("desirable_weight", desirable_weight)
    NOT_NEGATIVE.check("undesirable_weight", undesirable_weight)
    thumbs = _thumbs(logps)
    moved = _moved(logps) if kl is None else kl
    lost = torch.sigmoid(-thumbs * (beta * (logps.log_ratios - moved.detach())))
    weighed = torch.where(thumbs > 0, desirable_weight * lost, undesirable_weight * lost)
    return torch.where(thumbs != 0, weighed, 0.0)


def bco(
    logps: LogProbs,
    *,
    beta: float = 0.1,
    memory: float = 0.9,
    good_reward: Tensor | None = None,
    bad_reward: Tensor | None = None,
) -> Tensor:
    """BCO: a classifier of good and bad responses whose logit is the implicit reward.

    L = softplus(-(r - shift))  thumbs up,     L = softplus(r - shift)  thumbs down,
    r = beta log-ratio,   shift = (mean r of the good + mean r of the bad) / 2, without gradient

    The means run from step to step (`bco_shift`); alone they are those of the record.

    Args:
        logps: Record with a reference and thumbs.
        beta: Strength of the tie to the reference, > 0, per nat.
        memory: What a step leaves of the running means, in [0, 1); 0 is each step's own.
        good_reward: () running mean of r over the good responses, logits.
        bad_reward: () the same over the bad ones.

    Returns:
        Loss (response,), unreduced, 0 for a response without a thumb: to be divided by the number
        of responses with one in the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no thumbs.

    References:
        Jung et al. 2024, arXiv:2404.04656.

    Example:
        >>> from dataclasses import replace
        >>> one = [[torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]]
        >>> bco(replace(LogProbs.of_groups(one, reference=one), good=torch.tensor([1.0, -1.0])))
        tensor([0.6931, 0.6931])
    """
    BETA.check("beta", beta)
    BELOW_ONE.check("memory", memory)
    thumbs = _thumbs(logps)
    rewards = beta * logps.log_ratios
    above = _mean(logps, rewards, thumbs > 0) if good_reward is None else good_reward
    below = _mean(logps, rewards, thumbs < 0) if bad_reward is None else bad_reward
    shift = (above + below).detach() / 2
    return torch.where(thumbs != 0, smoothed(thumbs * (rewards - shift)), 0.0)


def bco_shift(
    logps: LogProbs, state: Mapping[str, Tensor], settings: Settings
) -> dict[str, Tensor]:
    """BCO's running means of the reward, moved by the record of one optimiser step.

    The paper only says that the mean runs; here it is exponential. The first step gives its own
    mean. A step without good (or bad) responses leaves their mean alone; until one was seen it is
    0, the reward of the reference itself.

    Args:
        logps: Record of a whole optimiser step.
        state: `good_reward` and `bad_reward`; empty before the first step.
        settings: Those of `bco`.

    Returns:
        The new state, without gradient.
    """
    thumbs = _thumbs(logps)
    rewards = (settings["beta"] * logps.log_ratios).detach()
    found: dict[str, Tensor] = {}
    for name, counted in (("good_reward", thumbs > 0), ("bad_reward", thumbs < 0)):
        now = _mean(logps, rewards, counted)
        if name in state:
            moved = settings["memory"] * state[name] + (1 - settings["memory"]) * now
            now = torch.where(counted.any(), moved, state[name])
        found[name] = now
    return found


def _thumbs(logps: LogProbs) -> Tensor:
    if logps.good is None:
        raise ValueError("This loss needs `good`: 1 for thumbs up, -1 for thumbs down, else 0.")
    if logps.mismatched is None:
        return logps.good
    return torch.where(logps.mismatched, 0.0, logps.good)


def _moved(logps: LogProbs) -> Tensor:
    """() how far the policy has moved on responses to other prompts, nats, at least 0."""
    if logps.mismatched is None:
        raise ValueError("This loss needs `mismatched` responses to estimate the KL, or `kl`.")
    return _mean(logps, logps.log_ratios, logps.mismatched).clamp(min=0)


def _mean(logps: LogProbs, values: Tensor, counted: Tensor) -> Tensor:
    """() mean of a response's value by what the groups weigh; 0 where none is counted."""
    weights = counted.to(values)
    if logps.group_weight is not None:
        weights = weights * logps.group_weight[logps.group]
    total = weights.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return (values * weights).sum() / total
