"""Losses of several responses to a prompt: put in order, or rated."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.settings import BETA, POSITIVE, WHOLE


def plackett_luce(logps: LogProbs, *, beta: float = 0.1, top_k: float = 0) -> Tensor:
    """DPO of rankings: each response is chosen from itself and all that are ranked below it.

    L = -sum_i (r_i - log(exp(r_i) + sum_{j below i} exp(r_j))),   r = beta log-ratio

    i runs over the responses with fewer than top_k ranked above them, or over all. Responses of
    equal rank are not compared with each other: each is chosen from itself and what is strictly
    below. Without ties it is the Plackett-Luce model; of two responses it is DPO, of two tied
    ones 0. It is not the mean of DPO's losses over all pairs.

    Args:
        logps: Record with a reference and ranks; groups may differ in size, and responses without
            a rank are left out.
        beta: Strength of the tie to the reference, > 0, per nat.
        top_k: Number of best places that are learnt, a whole number; 0 is all.

    Returns:
        Loss (group,), unreduced: to be divided by the number of prompts of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no ranks.

    References:
        Rafailov et al. 2023, arXiv:2305.18290, appendix A.3.

    Example:
        >>> from dataclasses import replace
        >>> three = [[torch.tensor([-1.0]), torch.tensor([-2.0]), torch.tensor([-3.0])]]
        >>> record = replace(LogProbs.of_groups(three, reference=three), rank=torch.arange(3))
        >>> plackett_luce(record)  # log 6: all orders are equally likely
        tensor([1.7918])
    """
    BETA.check("beta", beta)
    WHOLE.check("top_k", top_k)
    if logps.rank is None:
        raise ValueError("This loss needs `rank`: the place of each response, 0 the best.")
    rewards = logps.in_groups(beta * logps.log_ratios, 0.0)
    rank = torch.where(logps.members >= 0, logps.rank[logps.members.clamp(min=0)], -1)
    below = (rank[:, None, :] > rank[:, :, None]) & (rank >= 0)[:, :, None]
    # Everyone stands in its own contest: one without others, as an unranked response's, costs 0.
    itself = torch.eye(rank.shape[1], dtype=torch.bool, device=rank.device)
    contest = torch.where(below | itself, rewards[:, None, :], -torch.inf)
    terms = contest.logsumexp(dim=-1) - rewards
    if top_k:
        terms = torch.where(below.sum(dim=1) < top_k, terms, 0.0)
    return terms.sum(dim=-1)


def infonca(logps: LogProbs, *, beta: float = 0.01, temperature: float = 1.0) -> Tensor:
    """InfoNCA: the responses' rewards, as a distribution, should match the ratings.

    L = -sum_i t_i log softmax(r)_i,   r = beta log-ratio,   t = softmax(score / temperature)

    With all of t on one response it is the first term of `plackett_luce`; of two, DPO.

    Args:
        logps: Record with a reference and scores; groups may differ in size, and responses without
            a score are left out.
        beta: Strength of the tie to the reference, > 0, per nat.
        temperature: Of the targets, > 0, in the judge's units; small: only the best counts.

    Returns:
        Loss (group,), unreduced: to be divided by the number of prompts of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no scores.

    References:
        Chen et al. 2024, arXiv:2402.05369.

    Example:
        >>> from dataclasses import replace
        >>> three = [[torch.tensor([-1.0]), torch.tensor([-2.0]), torch.tensor([-3.0])]]
        >>> scores = torch.tensor([1.0, 0.0, -1.0])
        >>> infonca(replace(LogProbs.of_groups(three, reference=three), score=scores))  # log 3
        tensor([1.0986])
    """
    rewards, targets, rated = _rated(logps, beta, temperature)
    return -(targets.exp() * _log_shares(rewards, rated) * rated).sum(dim=-1)


def nca_scores(logps: LogProbs, *, beta: float = 0.01, temperature: float = 1.0) -> Tensor:
    """NCA of rated responses: is each the data's or the reference's? Asked of each alone.

    L = -sum_i (t_i log sigmoid(r_i) + 1/K log sigmoid(-r_i)),   t = softmax(score / temperature)

    K counts the rated responses of the prompt. Unlike `infonca` it has an opinion of each
    response's own log-prob: adding a constant to all of a prompt's changes the loss.

    Args:
        logps: Record with a reference and scores; groups may differ in size, and responses without
            a score are left out.
        beta: Strength of the tie to the reference, > 0, per nat.
        temperature: Of the targets, > 0, in the judge's units; small: only the best counts.

    Returns:
        Loss (group,), unreduced: to be divided by the number of prompts of the optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no scores.

    References:
        Chen et al. 2024, arXiv:2402.05369.

    Example:
        >>> from dataclasses import replace
        >>> three = [[torch.tensor([-1.0]), torch.tensor([-2.0]), torch.tensor([-3.0])]]
        >>> scores = torch.tensor([1.0, 0.0, -1.0])
        >>> nca_scores(replace(LogProbs.of_groups(three, reference=three), score=scores))  # 2 log 2
        tensor([1.3863])
    """
    rewards, targets, rated = _rated(logps, beta, temperature)
    number = rated.sum(dim=-1, keepdim=True).clamp(min=1)
    terms = targets.exp() * logsigmoid(rewards) + logsigmoid(-rewards) / number
    return -(terms * rated).sum(dim=-1)


def exo_scores(logps: LogProbs, *, beta: float = 0.1, temperature: float = 0.1) -> Tensor:
    """EXO of rated responses: the other divergence, which seeks the best ones and drops the rest.

    L = sum_i q_i (log q_i - log t_i),   q = softmax(r),   t = softmax(score / temperature)

    Args:
        logps: Record with a reference and scores; groups may differ in size, and responses without
            a score are left out.
        beta: Strength of the tie to the reference, > 0, per nat.
        temperature: Of the targets, > 0, in the judge's units.

    Returns:
        Loss (group,), nats, >= 0, unreduced: to be divided by the number of prompts of the
        optimiser step.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference or no scores.

    References:
        Ji et al. 2024, arXiv:2402.00856.

    Example:
        >>> from dataclasses import replace
        >>> two = [[torch.tensor([-1.0]), torch.tensor([-2.0])]]
        >>> record = replace(LogProbs.of_groups(two, reference=two), score=torch.tensor([0.3, 0.3]))
        >>> exo_scores(record)  # equal scores, equal rewards
        tensor([0.])
    """
    rewards, targets, rated = _rated(logps, beta, temperature)
    shares = _log_shares(rewards, rated)
    return (shares.exp() * (shares - targets) * rated).sum(dim=-1)


def _rated(logps: LogProbs, beta: float, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """(group, K) rewards, logarithms of the targets, and which places hold a rated response."""
    BETA.check("beta", beta)
    POSITIVE.check("temperature", temperature)
    if logps.score is None:
        raise ValueError("This loss needs `score`: the rating of each response.")
    scores = logps.in_groups(logps.score, torch.nan).to(logps.tokens.dtype)
    rated = scores.isfinite()
    rewards = logps.in_groups(beta * logps.log_ratios, 0.0)
    return rewards, _log_shares(scores / temperature, rated), rated


def _log_shares(values: Tensor, counted: Tensor) -> Tensor:
    """(group, K) log-softmax over the counted members of each group, 0 for the others."""
    lowest = torch.finfo(values.dtype).min
    filled = torch.where(counted, values, lowest)
    return torch.where(counted, filled.log_softmax(dim=-1), 0.0)
