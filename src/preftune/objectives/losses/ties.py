"""Losses of judgements that may be ties: -log P(win) or -log P(tie) of what was observed."""

from collections.abc import Callable
from math import inf, log

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.settings import ABOVE_ONE, BETA, POSITIVE

Surprise = Callable[[Tensor, float], Tensor]
"""-log P of an outcome, given the difference of rewards d and the tendency to ties nu."""


def rao_kupper(logps: LogProbs, *, beta: float = 0.1, nu: float = 3.0) -> Tensor:
    """DPO with ties: the winner must lead by log nu, closer races are ties (Rao-Kupper).

    P(win) = sigmoid(d - log nu), P(tie) = (nu^2 - 1) sigmoid(d - log nu) sigmoid(-d - log nu),
    d = beta h; L = -log P of what was judged, a win or a tie

    A tie pulls the margin to 0; a win has to go further than in DPO. Strength does not change a
    tie, whose loss is the same both ways round.

    Args:
        logps: Record with a reference; `tie` says which relations are ties (none: no ties).
        beta: Strength of the tie to the reference, > 0, per nat.
        nu: Tendency to ties, > 1: where d = 0 a tie has probability (nu - 1) / (nu + 1), one half
            at 3. At 1 ties would be impossible, their loss infinite: that is `dpo`.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Chen et al. 2024, arXiv:2409.17431.

    Example:
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> rao_kupper(start)  # a win: log 4
        tensor([1.3863])
        >>> rao_kupper(replace(start, tie=torch.tensor([True])))  # log 2
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    ABOVE_ONE.check("nu", nu)
    return _observed(logps, beta, nu, rao_kupper_win, rao_kupper_tie)


def davidson(logps: LogProbs, *, beta: float = 0.1, nu: float = 1.0) -> Tensor:
    """DPO with ties: a tie is likely in proportion to the geometric mean of both wins (Davidson).

    P(win) = 1 / (1 + exp(-d) + 2 nu exp(-d / 2)), P(tie) = 2 nu exp(-d / 2) P(win),
    d = beta h; L = -log P of what was judged, a win or a tie

    A tie pulls the margin to 0. Strength does not change a tie, whose loss is the same both ways
    round.

    Args:
        logps: Record with a reference; `tie` says which relations are ties (none: no ties).
        beta: Strength of the tie to the reference, > 0, per nat.
        nu: Tendency to ties, > 0: where d = 0 a tie has probability nu / (1 + nu), one half at
            1. At 0 ties would be impossible, their loss infinite: that is `dpo`.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Chen et al. 2024, arXiv:2409.17431.

    Example:
        >>> from dataclasses import replace
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> davidson(start)  # a win: log 4
        tensor([1.3863])
        >>> davidson(replace(start, tie=torch.tensor([True])))  # log 2
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    POSITIVE.check("nu", nu)
    return _observed(logps, beta, nu, davidson_win, davidson_tie)


def _observed(logps: LogProbs, beta: float, nu: float, win: Surprise, tie: Surprise) -> Tensor:
    def loss(pair: LogProbs) -> Tensor:
        d = beta * pair.margins
        if pair.tie is None:
            return win(d, nu)
        return torch.where(pair.tie, tie(d, nu), win(d, nu))

    return in_expectation(loss, logps)


def rao_kupper_win(d: Tensor, nu: float) -> Tensor:
    """-log P(win) for nu >= 1.

    >>> rao_kupper_win(torch.tensor([1.3, -1.3]), 3.0).neg().exp()
    tensor([0.5502, 0.0833])
    """
    return -logsigmoid(d - log(nu))


def rao_kupper_tie(d: Tensor, nu: float) -> Tensor:
    """-log P(tie) for nu >= 1, infinite at 1.

    >>> rao_kupper_tie(torch.tensor([1.3]), 3.0).neg().exp()
    tensor([0.3665])
    """
    return rao_kupper_win(d, nu) + rao_kupper_win(-d, nu) - _log(nu - 1) - log(nu + 1)


def davidson_win(d: Tensor, nu: float) -> Tensor:
    """-log P(win) for nu >= 0.

    >>> davidson_win(torch.tensor([1.3, -1.3]), 1.0).neg().exp()
    tensor([0.4317, 0.1176])
    """
    # Terms without d / 2 in common: adding it and taking it away would lose a small loss.
    return _log_sum(torch.zeros_like(d), -d, _log(2 * nu) - d / 2)


def davidson_tie(d: Tensor, nu: float) -> Tensor:
    """-log P(tie) for nu >= 0, infinite at 0.

    >>> davidson_tie(torch.tensor([1.3]), 1.0).neg().exp()
    tensor([0.4507])
    """
    log_ties = _log(2 * nu)
    return _log_sum(d / 2, -d / 2, torch.full_like(d, log_ties)) - log_ties


def _log_sum(*terms: Tensor) -> Tensor:
    """log(exp(a) + exp(b) + ...)."""
    return torch.logsumexp(torch.stack(terms), 0)


def _log(value: float) -> float:
    return log(value) if value > 0 else -inf
