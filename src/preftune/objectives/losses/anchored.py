"""Losses of pairs that hold on to the chosen response's own log-prob, not only to the margin."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.settings import BETA, NOT_NEGATIVE


def dpo_nll(logps: LogProbs, *, beta: float = 0.1, alpha: float = 1.0) -> Tensor:
    """DPO plus the likelihood of the chosen response, so that it does not become unlikely.

    L = softplus(-beta h) + alpha * -l_w / |w|

    alpha = 1 is iterative reasoning preference optimisation (which divides by the length of
    prompt and response), alpha = 0.2 what Llama 3 was tuned with. The likelihood is a mean over
    the response's tokens, not over those of the batch.

    Args:
        logps: Record of pairs with a reference.
        beta: Strength of the tie to the reference, > 0, per nat.
        alpha: Weight of the negative log-likelihood per token, >= 0; 0 is DPO.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Pang et al. 2024, arXiv:2404.19733. Llama 3: arXiv:2407.21783.
        Liu et al. 2024, arXiv:2405.16436: the same form, as a regulariser.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> pair = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> dpo_nll(pair)  # log 2 + 1.5
        tensor([2.1931])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("alpha", alpha)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.margins) - alpha * pair.means[pair.winner]

    return in_expectation(loss, logps)


def dpop(logps: LogProbs, *, beta: float = 0.3, lam: float = 50.0) -> Tensor:
    """DPO-Positive: the margin shrinks where the chosen response falls below the reference.

    L = softplus(-beta (h - lam max(0, -log-ratio_w)))

    The penalty stands inside the logistic and is multiplied by beta: below the reference the
    slope by the chosen log-prob is up to beta (1 + lam), so clip the gradient. Where the chosen
    log-prob equals the reference's, as at the start, the slope is the mean of both sides'.

    Args:
        logps: Record of pairs with a reference.
        beta: Strength of the tie to the reference, > 0, per nat.
        lam: Weight of the penalty, >= 0; 0 is DPO.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Pal et al. 2024, arXiv:2402.13228.

    Example:
        >>> was, now = [torch.tensor([-3.0])], [torch.tensor([-3.1])]  # chosen is 0.1 nats lower
        >>> no = [torch.tensor([-4.0])]
        >>> dpop(LogProbs.of_pairs(now, no, reference_chosen=was, reference_rejected=no))
        tensor([1.7260])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("lam", lam)

    def loss(pair: LogProbs) -> Tensor:
        fall = -pair.log_ratios[pair.winner]
        # `maximum`, unlike relu and clamp, gives both sides half the slope where they are equal.
        lost = torch.maximum(fall, torch.zeros_like(fall))
        return smoothed(beta * (pair.margins - lam * lost))

    return in_expectation(loss, logps)


def nca(logps: LogProbs, *, beta: float = 0.01) -> Tensor:
    """NCA of pairs: is this response the data's or the reference's? Asked of each alone.

    L = softplus(-r_w) + 1/2 softplus(r_w) + 1/2 softplus(r_l),   r = beta log-ratio

    The chosen reward has a target of its own, log 2: its log-prob is held up whatever the
    rejected one does.

    Args:
        logps: Record of pairs with a reference.
        beta: Strength of the tie to the reference, > 0, per nat.

    Returns:
        Loss (relation,), unreduced: to be divided by the number of pairs of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Chen et al. 2024, arXiv:2402.05369.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> nca(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))  # 2 log 2
        tensor([1.3863])
    """
    BETA.check("beta", beta)

    def loss(pair: LogProbs) -> Tensor:
        rewards = beta * pair.log_ratios
        chosen, rejected = rewards[pair.winner], rewards[pair.loser]
        against = logsigmoid(-chosen) + logsigmoid(-rejected)
        return -logsigmoid(chosen) - against / 2

    return in_expectation(loss, logps)


def apo_zero(logps: LogProbs, *, beta: float = 0.1) -> Tensor:
    """APO-zero: the chosen response becomes likelier than under the reference, the other less so.

    L = (1 - sigmoid(r_w)) + sigmoid(r_l),   r = beta log-ratio

    For chosen responses that are better than what the model writes. Saturates on both sides: of
    pairs that it has solved, and of those that it has got badly wrong, nothing more is learnt.

    Args:
        logps: Record of pairs with a reference.
        beta: Strength of the tie to the reference, > 0, per nat.

    Returns:
        Loss (relation,), in (0, 2), unreduced: to be divided by the number of pairs of the
        optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        D'Oosterlinck et al. 2024, arXiv:2408.06266.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> apo_zero(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([1.])
    """
    BETA.check("beta", beta)

    def loss(pair: LogProbs) -> Tensor:
        rewards = beta * pair.log_ratios
        return torch.sigmoid(-rewards[pair.winner]) + torch.sigmoid(rewards[pair.loser])

    return in_expectation(loss, logps)


def apo_down(logps: LogProbs, *, beta: float = 0.1) -> Tensor:
    """APO-down: both responses become less likely, the rejected one more so.

    L = sigmoid(r_w) + (1 - sigmoid(r_w - r_l)),   r = beta log-ratio

    For chosen responses that are worse than what the model writes. At the start only the rejected
    log-prob has a slope.

    Args:
        logps: Record of pairs with a reference.
        beta: Strength of the tie to the reference, > 0, per nat.

    Returns:
        Loss (relation,), in (0, 2), unreduced: to be divided by the number of pairs of the
        optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        D'Oosterlinck et al. 2024, arXiv:2408.06266.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> apo_down(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([1.])
    """
    BETA.check("beta", beta)

    def loss(pair: LogProbs) -> Tensor:
        rewards = beta * pair.log_ratios
        chosen, rejected = rewards[pair.winner], rewards[pair.loser]
        return torch.sigmoid(chosen) + torch.sigmoid(rejected - chosen)

    return in_expectation(loss, logps)
