"""Losses of demonstrations: make these responses likely."""

from torch import Tensor

from preftune.objectives.logprobs import LogProbs


def sft(logps: LogProbs) -> Tensor:
    """Negative log-likelihood of each response, summed over its trained tokens.

    L = -sum_t log p(y_t | x, y_<t)

    Every response of the batch is a demonstration: of pairs, keep the chosen side before packing.

    Args:
        logps: Record; no reference and no relations are needed.

    Returns:
        Loss (response,), nats, unreduced: to be divided by the number of trained tokens of the
        whole optimiser step. A mean of micro-batch means weighs tokens unequally.

    Example:
        >>> import torch
        >>> sft(LogProbs.of_pairs([torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]))
        tensor([3., 4.])
    """
    return -logps.sums
