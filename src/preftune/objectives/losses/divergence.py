"""DPO for other divergences from the reference than the KL (f-DPO).

For max E[r] - beta D_f(policy || reference) the implicit reward is beta f'(u) with
u = policy / reference, plus a function of the prompt. Reverse KL has f'(u) = log u and is `dpo`.
Every score below has the constant that makes it 0 where policy and reference agree; constants
cancel between chosen and rejected.
"""

from collections.abc import Callable
from math import exp, log

from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.rewards import Settings
from preftune.objectives.settings import BETA, FRACTION

STEEPEST = 30.0
"""Beyond this exponent an exponential goes on as its tangent. Sequences have log-ratios of hundreds
of nats, exp overflows float32 at 88, and a gradient norm squares it."""


def dpo_forward_kl(logps: LogProbs, *, beta: float = 0.1) -> Tensor:
    """DPO for the forward KL, KL(reference || policy): the reward is -beta reference / policy.

    L = softplus(-beta (s(chosen) - s(rejected))), s = 1 - exp(-log-ratio)

    The score has a ceiling (1): a response far above the reference has nothing left to gain,
    while one that falls below it loses exponentially. Where a log-ratio is below -30 nats the
    exponential goes on as its tangent: the loss stays finite, and still falls as the ratio rises.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: `beta` is out of range, or `logps` has no reference.

    References:
        Wang et al. 2023, arXiv:2309.16240.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> dpo_forward_kl(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    return _compared(logps, beta, lambda ratios: alpha_score(ratios, 1.0))


def dpo_jensen_shannon(logps: LogProbs, *, beta: float = 0.1) -> Tensor:
    """DPO for the Jensen-Shannon divergence.

    L = softplus(-beta (s(chosen) - s(rejected))), s = log sigmoid(log-ratio) + log 2

    The score has a ceiling (log 2) and falls like the log-ratio itself far below the reference.
    At the start its slope is one half: the step is half of DPO's at the same beta.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: `beta` is out of range, or `logps` has no reference.

    References:
        Wang et al. 2023, arXiv:2309.16240.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> dpo_jensen_shannon(start)
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    return _compared(logps, beta, jensen_shannon_score)


def dpo_alpha_divergence(logps: LogProbs, *, beta: float = 0.1, alpha: float = 0.5) -> Tensor:
    """DPO for an alpha-divergence, between the reverse KL (alpha to 0) and the forward KL (1).

    L = softplus(-beta (s(chosen) - s(rejected))), s = (1 - exp(-alpha log-ratio)) / alpha

    The score has a ceiling (1 / alpha) and falls exponentially below the reference. Where alpha
    times the log-ratio is below -30 the exponential goes on as its tangent: the loss stays finite,
    and still falls as the ratio rises.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0.
        alpha: Which divergence, in (0, 1]: 1 is `dpo_forward_kl`, near 0 it is `dpo`.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Wang et al. 2023, arXiv:2309.16240.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> dpo_alpha_divergence(start)
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    FRACTION.check("alpha", alpha)
    return _compared(logps, beta, lambda ratios: alpha_score(ratios, alpha))


def _compared(logps: LogProbs, beta: float, score: Callable[[Tensor], Tensor]) -> Tensor:
    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.difference(score(pair.log_ratios)))

    return in_expectation(loss, logps)


def alpha_score(ratios: Tensor, alpha: float) -> Tensor:
    """f'(u) = (1 - u^-alpha) / alpha of the log-ratios log u; its tangent where u^-alpha is huge.

    >>> import torch
    >>> alpha_score(torch.tensor([-2.0, 1.0, 2.0]), 0.5)
    tensor([-3.4366,  0.7869,  1.2642])
    """
    exponent = -alpha * ratios
    # Value and slope at the joint are those of the exponential, so the score stays monotone. Not
    # clamp(min=0): at the joint itself both clamps would hand on a gradient.
    beyond = (exponent - STEEPEST).relu() * exp(STEEPEST)
    return -(exponent.clamp(max=STEEPEST).expm1() + beyond) / alpha


def jensen_shannon_score(ratios: Tensor) -> Tensor:
    """f'(u) = log(2 u / (1 + u)) of the log-ratios log u.

    >>> import torch
    >>> jensen_shannon_score(torch.tensor([-2.0, 1.0, 2.0]))
    tensor([-1.4338,  0.3799,  0.5662])
    """
    return logsigmoid(ratios) + log(2)


def forward_kl_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Of `dpo_forward_kl`: beta times the score."""
    return settings["beta"] * alpha_score(logps.log_ratios, 1.0)


def jensen_shannon_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Of `dpo_jensen_shannon`: beta times the score."""
    return settings["beta"] * jensen_shannon_score(logps.log_ratios)


def alpha_divergence_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Of `dpo_alpha_divergence`: beta times the score."""
    return settings["beta"] * alpha_score(logps.log_ratios, settings["alpha"])
