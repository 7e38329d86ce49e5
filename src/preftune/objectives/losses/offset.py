"""Logistic losses of pairs that ask for more or less margin, pair by pair."""

from torch import Tensor

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.settings import BETA, FRACTION, NOT_NEGATIVE


def odpo(logps: LogProbs, *, beta: float = 0.1, alpha: float = 1.0) -> Tensor:
    """DPO that asks for more margin where the judge saw a larger gap (ODPO).

    L = softplus(-(beta h - alpha log gap)), gap = score chosen - score rejected, the `margin`

    A gap below 1 gives a negative offset: such a pair may even keep a small margin the wrong way.
    So the unit of the scores matters. Strengths are not read: with the label flipped the gap would
    be negative and have no logarithm.

    Args:
        logps: Record with a reference and margins, all > 0; `tokens` in float32 or float64. A
            margin of 0 or below gives NaN, so that training stops instead of passing over it.
        beta: Strength of the tie to the reference, > 0, per nat.
        alpha: Weight of the offset, >= 0; 0 is DPO.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no margins.

    References:
        Amini, Vieira and Cotterell 2024, arXiv:2402.10571.

    Example:
        >>> import torch
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> odpo(replace(start, margin=torch.tensor([2.0])))  # log(1 + 2)
        tensor([1.0986])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("alpha", alpha)
    gaps = judged(logps)
    offset = gaps.where(gaps > 0, float("nan")).log()
    return smoothed(beta * logps.margins - alpha * offset)


def odpo_linear(logps: LogProbs, *, beta: float = 0.1, alpha: float = 1.0) -> Tensor:
    """ODPO with the gap itself as the offset, not its logarithm.

    L = softplus(-(beta h - alpha gap)), gap = score chosen - score rejected, the `margin`

    A strength p is read as the probability that the chosen response is better by at least the
    offset: the least loss lies at beta h = alpha gap + logit p.

    Args:
        logps: Record with a reference and margins; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat.
        alpha: Logits per unit of the judge's scores, >= 0; 0 is DPO.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no margins.

    References:
        Amini, Vieira and Cotterell 2024, arXiv:2402.10571.

    Example:
        >>> import torch
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> odpo_linear(replace(start, margin=torch.tensor([2.0])))  # softplus(2)
        tensor([2.1269])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("alpha", alpha)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.margins - alpha * judged(pair))

    return in_expectation(loss, logps)


def modpo(logps: LogProbs, *, beta: float = 0.1, share: float = 0.5) -> Tensor:
    """DPO for one of several objectives, the others given as reward margins (MODPO).

    L = softplus(-(beta h - (1 - w) m) / w), w = share, m the record's `margin`

    The judgements are of one objective, with weight w. m is by how much the chosen response is
    better for the others: the weighted mean of their reward margins (weights that sum to 1). What
    they explain already, the policy need not.

    Args:
        logps: Record with a reference and margins; `tokens` in float32 or float64. A margin is
            negative where the others prefer the rejected response.
        beta: Strength of the tie to the reference, > 0, per nat.
        share: Weight of the objective that the judgements are of, in (0, 1]; 1 is DPO.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no margins.

    References:
        Zhou et al. 2023, arXiv:2310.03708.

    Example:
        >>> import torch
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> modpo(replace(start, margin=torch.tensor([1.0])))  # softplus(1)
        tensor([1.3133])
    """
    BETA.check("beta", beta)
    FRACTION.check("share", share)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed((beta * pair.margins - (1 - share) * judged(pair)) / share)

    return in_expectation(loss, logps)


def judged(logps: LogProbs) -> Tensor:
    """(relation,) the record's margins: how much better the judge found the chosen response."""
    if logps.margin is None:
        raise ValueError(
            "These log-probs carry no `margin`: this loss needs to know how much better the "
            "chosen response was judged."
        )
    return logps.margin
