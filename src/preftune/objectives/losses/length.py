"""Losses of pairs that keep the length of responses out of what is learnt."""

from typing import NamedTuple

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs, in_expectation
from preftune.objectives.losses.logistic import smoothed
from preftune.objectives.rewards import Settings
from preftune.objectives.settings import BETA, NOT_NEGATIVE, SHARE


def dpo_norm(logps: LogProbs, *, beta: float = 5.0) -> Tensor:
    """DPO on log-ratios per token (length-normalised DPO, as in Tulu 3).

    L = softplus(-beta (log-ratio chosen / |chosen| - log-ratio rejected / |rejected|))

    Where both responses have n tokens it is DPO with beta / n.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat per token: about |y| times as
            large as DPO's.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: `beta` is out of range, or `logps` has no reference.

    References:
        Lambert et al. 2024, arXiv:2411.15124.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> dpo_norm(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([0.6931])
    """
    BETA.check("beta", beta)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.difference(pair.mean_log_ratios))

    return in_expectation(loss, logps)


def len_dpo(logps: LogProbs, *, beta: float = 0.1, alpha: float = 0.01) -> Tensor:
    """DPO for a reward less alpha per token (length-regularised DPO).

    L = softplus(-(beta h + alpha (|chosen| - |rejected|)))

    The best policy of reward - alpha |y| - beta KL has reward = beta log-ratio + alpha |y| (plus a
    function of the prompt), hence the plus sign: where the longer response was chosen its length
    explains part of the judgement, and less is left for the policy to learn.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64.
        beta: Strength of the tie to the reference, > 0, per nat.
        alpha: What a token costs, >= 0, in logits. At the default 100 tokens weigh one logit.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Park et al. 2024, arXiv:2403.19159.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> start = LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no)
        >>> len_dpo(start, alpha=1.0)  # one token longer: softplus(-1)
        tensor([0.3133])
    """
    BETA.check("beta", beta)
    NOT_NEGATIVE.check("alpha", alpha)

    def loss(pair: LogProbs) -> Tensor:
        return smoothed(beta * pair.margins + alpha * pair.difference(pair.lengths))

    return in_expectation(loss, logps)


def ld_dpo(logps: LogProbs, *, beta: float = 0.1, alpha: float = 0.5) -> Tensor:
    """DPO in which the tokens that the longer response has more count alpha (LD-DPO).

    L = softplus(-beta (LD chosen - LD rejected)),
    LD = sum of log-ratios of the first n tokens + alpha times the sum of the others' log-ratios,
    n = min(|chosen|, |rejected|)

    Policy and reference are treated alike. Tokens are counted as trained: later user turns inside
    a response are no tokens of it.

    Args:
        logps: Record with a reference; `tokens` in float32 or float64. A response that is
            compared with several others has another n in each comparison.
        beta: Strength of the tie to the reference, > 0, per nat.
        alpha: Weight of the tail, in [0, 1]; 1 is DPO, 0 cuts both at the shorter length.

    Returns:
        Loss (relation,), unreduced.

    Raises:
        ValueError: a setting is out of range, or `logps` has no reference.

    References:
        Liu et al. 2024, arXiv:2409.06411.

    Example:
        >>> yes, no = [torch.tensor([-1.0, -2.0])], [torch.tensor([-4.0])]
        >>> ld_dpo(LogProbs.of_pairs(yes, no, reference_chosen=yes, reference_rejected=no))
        tensor([0.6931])
    """
    BETA.check("beta", beta)
    SHARE.check("alpha", alpha)
    lengths, sums = logps.lengths, running_sums(logps)
    common = torch.minimum(lengths[logps.winner], lengths[logps.loser])

    def loss(pair: LogProbs) -> Tensor:
        chosen = sums.desensitised(pair.winner, common, alpha)
        return smoothed(beta * (chosen - sums.desensitised(pair.loser, common, alpha)))

    return in_expectation(loss, logps)


def regularised_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Of `len_dpo`: beta times the log-ratio, plus alpha per token."""
    return settings["beta"] * logps.log_ratios + settings["alpha"] * logps.lengths


def desensitised_reward(logps: LogProbs, settings: Settings) -> Tensor:
    """Of `ld_dpo`: beta times the log-ratio whose tail counts alpha.

    The tail begins where the shortest of the responses that it is compared with ends. For a
    response in one comparison that is what the loss compares.
    """
    lengths = logps.lengths
    common = lengths.scatter_reduce(0, logps.winner, lengths[logps.loser], "amin")
    common = common.scatter_reduce(0, logps.loser, lengths[logps.winner], "amin")
    responses = torch.arange(len(lengths), device=lengths.device)
    values = running_sums(logps).desensitised(responses, common, settings["alpha"])
    return settings["beta"] * values


class RunningSums(NamedTuple):
    """Log-ratios added up along each response."""

    ratios: Tensor
    """(response,) of the whole response."""
    heads: Tensor
    """(response, n) of its first n trained tokens, n from 0."""

    def desensitised(self, responses: Tensor, common: Tensor, alpha: float) -> Tensor:
        """The log-ratio of each of `responses`; tokens after the first `common` count alpha."""
        head = self.heads[responses, common.long()]
        return head + alpha * (self.ratios[responses] - head)


def running_sums(logps: LogProbs) -> RunningSums:
    """Sums of the log-ratios of every beginning of every response.

    A table with a row for each response: one transfer from the device, for its width.
    """
    whole = logps.log_ratios  # refuses a record without a reference
    assert logps.reference is not None
    lengths = logps.lengths.long()
    before = (lengths.cumsum(0) - lengths)[logps.response]
    # 1 for the first trained token; untrained ones all write the 0 of the empty beginning.
    place = torch.where(logps.mask, logps.mask.cumsum(0) - before, 0)
    ratios = (logps.tokens - logps.reference) * logps.mask
    table = ratios.new_zeros(len(lengths), int(lengths.max()) + 1)
    return RunningSums(whole, table.index_put((logps.response, place), ratios).cumsum(1))
