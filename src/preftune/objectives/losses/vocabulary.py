"""Losses of pairs that look at the whole next-token distribution, not only at the data's tokens."""

import math

from torch import Tensor

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.rewards import Settings
from preftune.objectives.settings import BETA, NOT_NEGATIVE, POSITIVE


def tdpo1(logps: LogProbs, *, beta: float = 0.1) -> Tensor:
    """TDPO1: DPO with a margin from which the difference of the sequence KLs is taken.

    L = softplus(-beta (h - (K_l - K_w))),   K = sum_t KL(reference(. | y_<t) || policy(. | y_<t))

    The gradient goes through both K: the rejected response's KL is held down, but the chosen
    one's is pushed up. `tdpo2` does without the latter.

    Args:
        logps: Record of pairs with a reference and `kl`.
        beta: Strength of the tie to the reference, > 0, per nat.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no `kl`.

    References:
        Zeng et al. 2024, arXiv:2404.11999.

    Example:
        >>> import torch
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> pair = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> tdpo1(replace(pair, kl=torch.tensor([0.1, 0.2, 0.3])))  # log 2: equal KLs
        tensor([0.6931])
    """
    BETA.check("beta", beta)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * (pair.margins + pair.difference(_sequence_kl(pair))))

    return in_expectation(loss, logps)


def tdpo2(logps: LogProbs, *, beta: float = 0.1, alpha: float = 0.5) -> Tensor:
    """TDPO2: the sequence KLs enter by a weight, and the chosen one's has no gradient.

    L = softplus(-beta (h - alpha (K_l - stop(K_w))))

    K is as in `tdpo1`. The gradient only holds the rejected response's KL down.

    Args:
        logps: Record of pairs with a reference and `kl`.
        beta: Strength of the tie to the reference, > 0, per nat.
        alpha: Weight of the KLs, >= 0; 0 is DPO.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no `kl`.

    References:
        Zeng et al. 2024, arXiv:2404.11999.

    Example:
        >>> import torch
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> pair = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> tdpo2(replace(pair, kl=torch.tensor([0.1, 0.2, 0.3])))
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("alpha", alpha)

    def loss(pair: LogProbs) -> Tensor:
        kl = _sequence_kl(pair)
        spread = kl[pair.loser] - kl.detach()[pair.winner]
        return smoothed(beta * (pair.margins - alpha * spread))

    return in_expectation(loss, logps)


def kl_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Beta (log-ratio + alpha K): what TDPO2 compares, and TDPO1 with alpha 1."""
    shifted = logps.log_ratios + settings.get("alpha", 1.0) * _sequence_kl(logps)
    return settings["beta"] * shifted


def _sequence_kl(logps: LogProbs) -> Tensor:
    if logps.kl is None:
        raise ValueError("These log-probs carry no `kl` between the whole distributions.")
    return logps.add_up(logps.kl)


def wpo(logps: LogProbs, *, beta: float = 0.01, largest_weight: float = 1.0) -> Tensor:
    """WPO: DPO where a pair counts for as much as the policy would have written it itself.

    L = w softplus(-beta h),   w = min(w_w w_l, largest_weight), without gradient
    w_y = exp(mean_t (log p_t - log sum_v p_v^2))

    A token that the policy chose itself has w = 1 on average, whatever its entropy.

    Args:
        logps: Record of pairs with a reference and `collision`.
        beta: Strength of the tie to the reference, > 0, per nat.
        largest_weight: The product is cut there, > 0: 1 in the authors' code. There are tools
            without a limit.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no `collision`.

    References:
        Zhou et al. 2024, arXiv:2406.11827.

    Example:
        >>> import torch
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> pair = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> wpo(replace(pair, collision=torch.tensor([-1.0, -2.0, -4.0])))  # weight 1: log 2
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    POSITIVE.check("largest_weight", largest_weight)
    if logps.collision is None:
        raise ValueError("These log-probs carry no `collision`: log sum_v p(v)^2 of each token.")
    likeliness = logps.add_up(logps.tokens.detach() - logps.collision) / logps.lengths
    together = likeliness[logps.winner] + likeliness[logps.loser]
    weights = together.clamp(max=math.log(largest_weight)).exp()

    def loss(pair: LogProbs) -> Tensor:
        return weights * smoothed(beta * pair.margins)

    return in_expectation(loss, logps)
