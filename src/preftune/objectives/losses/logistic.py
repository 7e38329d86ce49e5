"""Losses of pairs: functions of the margin h = log-ratio chosen - log-ratio rejected."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.settings import BETA, LABEL_SMOOTHING


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


def smoothed(z: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(1 - e) softplus(-z) + e softplus(z): the logistic loss of a logit whose label may be wrong.

    softplus(z) = -logsigmoid(-z): torch's softplus is linear above 20, logsigmoid is exact.
    """
    right = -logsigmoid(z)
    return right if label_smoothing == 0 else right + label_smoothing * z
