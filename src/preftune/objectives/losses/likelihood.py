"""Losses of log-probs alone: make these responses likely, those unlikely."""

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.settings import NOT_NEGATIVE


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


def unlikelihood(logps: LogProbs, *, alpha: float = 0.1) -> Tensor:
    """Raise the log-prob of the chosen response and lower that of the rejected one.

    L = -l_w + alpha l_l

    l is the summed log-prob. The slopes are -1 and alpha wherever the policy stands: nothing
    saturates, the loss has no lower bound, and l_l falls for as long as training goes on. It is
    the baseline that DPO was measured against, not a method to rely on.

    Args:
        logps: Record of pairs; no reference is needed.
        alpha: What the rejected response weighs, >= 0; 0 is SFT on the chosen responses.

    Returns:
        Loss (relation,), nats, unreduced: to be divided by the number of pairs of the optimiser
        step. It is negative where the rejected response is unlikely enough.

    Raises:
        ValueError: a setting is out of range.

    References:
        Rafailov et al. 2023, arXiv:2305.18290, appendix C.3, the baseline "unlikelihood".
        Welleck et al. 2019, arXiv:1908.04319, is the token-level original: -log(1 - p).

    Example:
        >>> unlikelihood(LogProbs.of_pairs([torch.tensor([-3.0])], [torch.tensor([-4.0])]))
        tensor([2.6000])
    """
    NOT_NEGATIVE.check("alpha", alpha)

    def loss(pair: LogProbs) -> Tensor:
        return alpha * pair.sums[pair.loser] - pair.sums[pair.winner]

    return in_expectation(loss, logps)
