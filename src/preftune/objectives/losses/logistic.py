"""Losses of pairs: functions of the margin h = log-ratio chosen - log-ratio rejected."""

from math import log, log1p

from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.settings import BETA, FRACTION, LABEL_SMOOTHING, NOISE


def dpo(logps: LogProbs, *, beta: float = 0.1, label_smoothing: float = 0.0) -> Tensor:
    """Logistic loss of the margin: how surprising the judgement is under the implicit reward.

    L = (1 - e) softplus(-beta h) + e softplus(beta h)

    e is the label smoothing: 0 is DPO, above it cDPO, which takes each label to be flipped with
    probability e. A relation's strength p enters by expectation: p L(h) + (1 - p) L(-h). The
    minimum lies where beta h = logit q, with q = p (1 - e) + (1 - p) e.

    Only h matters, so both log-probs may fall together (watch `displacement`), and a pair says
    nothing about responses that are in no pair.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat. Larger keeps the policy nearer.
        label_smoothing: Assumed probability that a label is flipped, in [0, 0.5).

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Rafailov et al. 2023, arXiv:2305.18290, Eq. 7.
        Mitchell 2023, ericmitchell.ai/cdpo.pdf, Eq. 3 (label smoothing).

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> dpo(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))  # log 2
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    LABEL_SMOOTHING.check("label_smoothing", label_smoothing)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.margins, label_smoothing)

    return in_expectation(loss, logps)


def robust_dpo(logps: LogProbs, *, beta: float = 0.1, epsilon: float = 0.1) -> Tensor:
    """DPO's loss as it would be without the flipped labels (robust DPO, rDPO).

    L = [(1 - e) softplus(-beta h) - e softplus(beta h)] / (1 - 2 e)
      = softplus(-beta h) - e / (1 - 2 e) beta h

    If labels are flipped with probability e, its mean over the flips is DPO's loss of the true
    label. The slope by beta h is -(sigmoid(-beta h) + e / (1 - 2 e)) and never 0, so, unlike with
    label smoothing, no margin is large enough. The loss has no lower bound: below 0 is no error.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat.
        epsilon: Probability that a label is flipped, in [0, 0.5).

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Chowdhury, Kini and Natarajan 2024, arXiv:2403.00409.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> robust_dpo(start)  # log 2, whatever epsilon
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    LABEL_SMOOTHING.check("epsilon", epsilon)

    def loss(pair: LogProbs) -> Tensor:
        z = beta * pair.margins
        return smoothed(z) - epsilon / (1 - 2 * epsilon) * z

    return in_expectation(loss, logps)


def hinge(logps: LogProbs, *, beta: float = 0.1) -> Tensor:
    """How far the margin falls short of 1 / beta, times beta.

    L = max(0, 1 - beta h)

    A pair whose margin is over 1 / beta nats is done with: no loss, no gradient. With a strength
    p < 1 the least loss lies at beta h = 1 whatever p, so doubt only makes the slope gentler.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: 1 / the margin that is asked for, > 0, per nat.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: `beta` is out of range, or `logps` has no reference.

    References:
        Liu et al. 2023, arXiv:2309.06657.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> hinge(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([1.])
    """
    BETA.check("beta", beta)

    def loss(pair: LogProbs) -> Tensor:
        return (1 - beta * pair.margins).relu()

    return in_expectation(loss, logps)


def exo(logps: LogProbs, *, beta: float = 0.1, epsilon: float = 1e-3) -> Tensor:
    """KL divergence from what the policy says of the pair to what the judge said (EXO).

    L = KL(p || q), p = (sigmoid(z), sigmoid(-z)), q = (1 - e, e), z = beta h

    The other direction, KL(q || p), is DPO with label smoothing e less a constant. The slope by z
    is sigmoid(z) sigmoid(-z) (z - logit(1 - e)): 0 at z = logit(1 - e), and fading for a pair
    that the policy has badly wrong. With a strength p < 1 the least loss lies at
    z = (2 p - 1) logit(1 - e).

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat.
        epsilon: Probability left to the rejected response, in (0, 0.5): at 0 the KL is infinite.

    Returns:
        Loss (relation,), >= 0, unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Ji et al. 2024, arXiv:2402.00856, Eq. 16.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> exo(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([2.7612])
    """
    BETA.check("beta", beta)
    NOISE.check("epsilon", epsilon)
    log_right, log_wrong = log1p(-epsilon), log(epsilon)

    def loss(pair: LogProbs) -> Tensor:
        z = beta * pair.margins
        right = z.sigmoid() * (logsigmoid(z) - log_right)
        return right + (-z).sigmoid() * (logsigmoid(-z) - log_wrong)

    return in_expectation(loss, logps)


def discopop(logps: LogProbs, *, beta: float = 0.05, tau: float = 0.05) -> Tensor:
    """Logistic loss for wrong pairs, exponential loss for right ones (DiscoPOP, LRML).

    L = (1 - g) softplus(-z) + g exp(-z), g = sigmoid(z / tau), z = beta h

    It was found by a search over programs. It is not convex, and not monotone about the start: at
    h = 0 the slope by z is +0.784 (at the default tau), so the first steps make the margin
    smaller. The least loss near by lies at z = -0.119, behind a hill at z = 0.072.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat.
        tau: Width of the passage between the two losses, in (0, 1]. Above 1 the exponential would
            outgrow its gate, and wrong pairs cost exponentially.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Lu et al. 2024, arXiv:2406.08414.

    Example:
        >>> import torch
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> discopop(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([0.8466])
    """
    BETA.check("beta", beta)
    FRACTION.check("tau", tau)

    def loss(pair: LogProbs) -> Tensor:
        z = beta * pair.margins
        gate = z / tau
        # Gate times exponential as one exponential: alone exp(-z) overflows where the gate is 0.
        return (-gate).sigmoid() * smoothed(z) + (logsigmoid(gate) - z).exp()

    return in_expectation(loss, logps)


def smoothed(z: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(1 - e) softplus(-z) + e softplus(z): the logistic loss of a logit whose label may be wrong.

    softplus(z) = -logsigmoid(-z): torch's softplus is linear above 20, logsigmoid is exact.
    """
    right = -logsigmoid(z)
    return right if label_smoothing == 0 else right + label_smoothing * z
