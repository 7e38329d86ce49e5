"""Losses of pairs that compare an optimiser step's pairs as a whole, each side in order."""

from torch import Tensor

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.settings import BETA, LABEL_SMOOTHING


def aot(logps: LogProbs, *, beta: float = 0.01, label_smoothing: float = 0.0) -> Tensor:
    """AOT of pairs: the policy's preferences as a whole must exceed the reference's.

    L = (1 - e) softplus(-beta d) + e softplus(beta d),   d = a - b at the same place in order
    a = l_w - l_l of the policy, b the same of the reference, each sorted over the step

    Args:
        logps: Record of a whole optimiser step of pairs, with a reference.
        beta: Strength of the tie to the reference, > 0, per nat.
        label_smoothing: e, assumed probability that a label is flipped, in [0, 0.5).

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.
        The b that a relation is compared with is mostly another one's, so single values say
        little, and weights for single relations have no meaning.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Melnyk et al. 2024, arXiv:2406.05882.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> aot(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))  # log 2
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    LABEL_SMOOTHING.check("label_smoothing", label_smoothing)
    policy = logps.difference(logps.sums)
    reference = logps.difference(logps.reference_sums)
    return smoothed(beta * (policy - _in_the_order_of(policy, reference)), label_smoothing)


def aot_unpaired(logps: LogProbs, *, beta: float = 0.01, label_smoothing: float = 0.0) -> Tensor:
    """AOT without pairs: the chosen log-ratios as a whole must exceed the rejected ones.

    L = (1 - e) softplus(-beta d) + e softplus(beta d),   d = a - b at the same place in order
    a = log-ratio of the chosen, b of the rejected responses, each sorted over the step

    Which chosen response stood beside which rejected one does not matter.

    Args:
        logps: Record of a whole optimiser step of pairs, with a reference.
        beta: Strength of the tie to the reference, > 0, per nat.
        label_smoothing: e, assumed probability that a label is flipped, in [0, 0.5).

    Returns:
        Loss (relation,), unreduced, as that of `aot`.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Melnyk et al. 2024, arXiv:2406.05882.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> aot_unpaired(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    LABEL_SMOOTHING.check("label_smoothing", label_smoothing)
    chosen, rejected = logps.log_ratios[logps.winner], logps.log_ratios[logps.loser]
    return smoothed(beta * (chosen - _in_the_order_of(chosen, rejected)), label_smoothing)


def _in_the_order_of(leading: Tensor, values: Tensor) -> Tensor:
    """The values rearranged so that the largest stands where `leading` is largest, and so on."""
    place = leading.argsort(stable=True).argsort()
    return values.sort().values[place]
