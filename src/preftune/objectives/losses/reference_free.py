"""Losses of pairs without a reference: the log-probs themselves are compared."""

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.rewards import Settings
from preftune.objectives.settings import BETA, LABEL_SMOOTHING, NOT_NEGATIVE, REAL, SWITCH

CERTAIN = -1e-10
"""Highest mean log-prob that has log-odds of its own: of a certain response they are infinite."""

STEEPEST = 40.0
"""Largest exponent in AlphaPO's reward; e^40 still fits float32. At alpha 0.25 it is reached at
-160 nats per token, which no model gives."""

LIKE_ZERO = 1e-12
"""Alphas this small shape no reward that a float could tell from SimPO's."""


def slic(logps: LogProbs, *, delta: float = 1.0, lam: float = 0.1) -> Tensor:
    """SLiC-HF: a margin of delta nats between the log-probs, and likelihood of the chosen one.

    L = max(0, delta - (l_w - l_l)) + lam * -l_w

    l is the summed log-prob, so lam weighs a sum over tokens. The original regularises towards an
    SFT target of its own; here, as for most data, that is the chosen response.

    Args:
        logps: Record of pairs; no reference is needed.
        delta: Margin, nats, >= 0: pairs further apart are left alone.
        lam: Weight of the negative log-likelihood, >= 0.

    Returns:
        Loss (relation,), nats, unreduced: to be divided by the number of pairs of the optimiser
        step.

    Raises:
        ValueError: a setting is out of range.

    References:
        Zhao et al. 2023, arXiv:2305.10425.

    Example:
        >>> slic(LogProbs.of_pairs([torch.tensor([-3.0])], [torch.tensor([-3.5])]))
        tensor([0.8000])
    """
    NOT_NEGATIVE.check("delta", delta)
    NOT_NEGATIVE.check("lam", lam)

    def loss(pair: LogProbs) -> Tensor:
        short = torch.relu(delta - pair.difference(pair.sums))
        return short - lam * pair.sums[pair.winner]

    return in_expectation(loss, logps)


def cpo(
    logps: LogProbs, *, beta: float = 0.1, alpha: float = 1.0, per_token: float = 1.0
) -> Tensor:
    """CPO: DPO with the reference left out, and likelihood of the chosen response instead.

    L = softplus(-beta (l_w - l_l)) + alpha * -l_w / |w|

    l is the summed log-prob. Implementations differ in how the likelihood is reduced: here it is
    the mean over the chosen response's tokens, so that long responses do not weigh more and alpha
    means the same whatever the batch. With per_token = 0 it is the sum, -l_w.

    Args:
        logps: Record of pairs; no reference is needed.
        beta: Slope of the logistic term, > 0, per nat.
        alpha: Weight of the negative log-likelihood, >= 0; 0 is DPO without a reference.
        per_token: 1: the likelihood is a mean over tokens. 0: a sum.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range.

    References:
        Xu et al. 2024, arXiv:2401.08417.

    Example:
        >>> pair = LogProbs.of_pairs([torch.tensor([-3.0, -3.0])], [torch.tensor([-6.0])])
        >>> cpo(pair), cpo(pair, per_token=0)  # log 2 + 3, log 2 + 6
        (tensor([3.6931]), tensor([6.6931]))
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("alpha", alpha)
    SWITCH.check("per_token", per_token)

    def loss(pair: LogProbs) -> Tensor:
        likelihood = pair.means if per_token else pair.sums
        contrast = smoothed(beta * pair.difference(pair.sums))
        return contrast - alpha * likelihood[pair.winner]

    return in_expectation(loss, logps)


def orpo(logps: LogProbs, *, lam: float = 0.1) -> Tensor:
    """ORPO: SFT on the chosen response, and a penalty on the odds of the rejected one.

    L = -l_w / |w| + lam softplus(-(o_w - o_l)),   o = log(P / (1 - P)),   P = exp(l / |y|)

    The odds are of the mean log-prob: with the sum, P would be 0 and o just l.

    Args:
        logps: Record of pairs; no reference is needed, and no SFT before.
        lam: Weight of the odds ratio, >= 0 (called beta in some tools); 0 is SFT.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range.

    References:
        Hong, Lee and Thorne 2024, arXiv:2403.07691.

    Example:
        >>> orpo(LogProbs.of_pairs([torch.tensor([-0.5])], [torch.tensor([-1.0])]))
        tensor([0.5320])
    """
    NOT_NEGATIVE.check("lam", lam)

    def loss(pair: LogProbs) -> Tensor:
        means = pair.means
        return lam * smoothed(pair.difference(log_odds(means))) - means[pair.winner]

    return in_expectation(loss, logps)


def log_odds(means: Tensor) -> Tensor:
    """log(P / (1 - P)) of P = exp(mean log-prob), finite also where P rounds to 1.

    >>> log_odds(torch.tensor([-0.5, -1e-8, 0.0]))
    tensor([ 0.4328, 18.4207, 23.0259])
    """
    means = means.clamp(max=CERTAIN)
    return means - torch.log(-torch.expm1(means))


def log_odds_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Log-odds of the mean log-prob: what ORPO compares."""
    return log_odds(logps.means)


def simpo(
    logps: LogProbs, *, beta: float = 2.0, gamma: float = 1.0, label_smoothing: float = 0.0
) -> Tensor:
    """SimPO: the log-prob per token is the reward, and it must be better by a margin.

    L = (1 - e) softplus(-u) + e softplus(u),   u = beta (l_w / |w| - l_l / |l|) - gamma

    gamma is the margin itself. The authors' run files give the ratio gamma / beta instead: their
    0.5 at beta 2 is gamma = 1 here.

    Args:
        logps: Record of pairs; no reference is needed.
        beta: Slope, > 0, per nat per token.
        gamma: Margin, >= 0, in logits.
        label_smoothing: e, assumed probability that a label is flipped, in [0, 0.5).

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range.

    References:
        Meng, Xia and Chen 2024, arXiv:2405.14734.

    Example:
        >>> simpo(LogProbs.of_pairs([torch.tensor([-1.0, -1.0])], [torch.tensor([-1.5])]))  # log 2
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("gamma", gamma)
    LABEL_SMOOTHING.check("label_smoothing", label_smoothing)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.difference(pair.means) - gamma, label_smoothing)

    return in_expectation(loss, logps)


def alphapo(
    logps: LogProbs, *, beta: float = 2.5, gamma: float = 0.1, alpha: float = 0.25
) -> Tensor:
    """AlphaPO: SimPO with a reward that is bent, so that unlikely responses count more or less.

    L = softplus(-(r_w - r_l - gamma)),   r = beta (1 - P^-alpha) / alpha,   P = exp(l / |y|)

    alpha -> 0 is SimPO. Above 0 the slope grows where a response is unlikely, below 0 it fades.

    Args:
        logps: Record of pairs; no reference is needed.
        beta: Slope, > 0, per nat per token where P = 1.
        gamma: Margin, >= 0, in logits (not the ratio gamma / beta).
        alpha: Shape of the reward, any real number; 0 is exactly SimPO.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range.

    References:
        AlphaPO 2025, arXiv:2501.03884.

    Example:
        >>> alphapo(LogProbs.of_pairs([torch.tensor([-1.0])], [torch.tensor([-2.0])]))
        tensor([0.0284])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("gamma", gamma)
    REAL.check("alpha", alpha)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.difference(_bent(pair.means, alpha)) - gamma)

    return in_expectation(loss, logps)


def bent_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Beta (1 - P^-alpha) / alpha: what AlphaPO compares."""
    return settings["beta"] * _bent(logps.means, settings["alpha"])


def _bent(means: Tensor, alpha: float) -> Tensor:
    if abs(alpha) < LIKE_ZERO:
        return means
    return -torch.expm1((-alpha * means).clamp(max=STEEPEST)) / alpha
