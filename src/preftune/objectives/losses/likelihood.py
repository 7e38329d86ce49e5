"""Losses of single responses: make these likely."""

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs


def sft(logps: LogProbs) -> Tensor:
    """Negative log-likelihood of each good response, summed over its trained tokens.

    L = -sum_t log p(y_t | x, y_<t)

    Of a pair it is the chosen response that is learnt (Preferred-FT), of a ranking the best.

    Args:
        logps: Record; no reference and no relations are needed.

    Returns:
        Loss (response,), nats, unreduced, 0 where `preferred` is false: to be divided by the
        number of preferred tokens of the whole optimiser step. A mean of micro-batch means weighs
        tokens unequally.

    References:
        Ouyang et al. 2022, arXiv:2203.02155, section 3.5.

    Example:
        >>> sft(LogProbs.of_groups([[torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]]))
        tensor([3., 4.])
    """
    if logps.preferred is None:
        return -logps.sums
    return torch.where(logps.preferred, -logps.sums, 0.0)
