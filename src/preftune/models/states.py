"""What a frozen model makes of responses: how likely, how sure, and in which hidden states."""

from dataclasses import dataclass

import torch
from torch import Tensor

from preftune.batching import Batch
from preftune.models.head import log_probs_of_logits
from preftune.models.vocabulary import LazyLogits, slices, wide_dtype

_CELLS_AT_ONCE = 16 * 2**20
"""Logits that exist at a time: 64 MiB in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class ResponseStates:
    """The final hidden states behind each response, summed.

    They stand at the places that predict the response's trained tokens: for a plain response from
    the last prompt token to the last but one of its own.
    """

    sums: Tensor
    """(response, hidden) float32, or float64 for float64."""
    lengths: Tensor
    """(response,) |y|: how many were summed. Never a padded length."""


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """What a frozen model says of a batch, in one forward. Tokens as in `LogProbs`, in nats."""

    log_probs: Tensor
    """(token,) log p(token | before); 0 where not trained."""
    entropy: Tensor
    """(token,) -sum_v p_v log p_v at the token's place; 0 where not trained.

    For text that the model drew itself, log p + entropy is 0 on average, token by token.
    """
    states: ResponseStates


def response_states(hidden: Tensor, batch: Batch) -> ResponseStates:
    """Sum hidden states over each response.

    Args:
        hidden: (token, hidden) of the predictors, 0 where a token is not trained.
        batch: What was run.
    """
    wide = hidden.to(wide_dtype(hidden))
    count = len(batch.group)
    sums = wide.new_zeros(count, hidden.shape[1]).index_add(0, batch.response, wide)
    lengths = wide.new_zeros(count).index_add(0, batch.response, batch.mask.to(wide))
    return ResponseStates(sums, lengths)


def ches(chosen: Tensor, rejected: Tensor) -> Tensor:
    """(pair,) centred hidden embedding similarity: high means a risk of displacement.

    CHES = <s+, s-> - |s+|^2,  s the sums of hidden states; 0 for two equal responses

    Args:
        chosen: (pair, hidden) sums, or sums divided by the response's length: then it is LN-CHES.
        rejected: (pair, hidden) the same of the other response.

    References:
        Razin et al. 2024, arXiv:2410.08847.

    Example:
        >>> ches(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 5.0]]))
        tensor([-6.])
    """
    # As one product: the difference of two would lose what is left between like responses.
    return (chosen * (rejected - chosen)).sum(1)


@torch.no_grad()
def diagnose(hidden: Tensor, logits: LazyLogits | Tensor, batch: Batch) -> Diagnosis:
    """Everything that is known of a batch's trained tokens.

    Args:
        hidden: (token, hidden) as in `response_states`.
        logits: (token, vocab) what is made of them.
        batch: What was run.
    """
    tokens = batch.trained
    width = len(logits.weight) if isinstance(logits, LazyLogits) else logits.shape[1]
    dtype = wide_dtype(hidden)
    log_probs = torch.zeros(len(batch.mask), dtype=dtype, device=batch.ids.device)
    entropy = torch.zeros_like(log_probs)
    for rows in slices(len(tokens), max(1, _CELLS_AT_ONCE // width)):
        some = tokens[rows]
        made = logits[some]
        full = made.in_full() if isinstance(made, LazyLogits) else made
        log_probs[some] = log_probs_of_logits(full, batch.targets[some]).to(dtype)
        shares = full.to(dtype).log_softmax(1)
        entropy[some] = torch.special.entr(shares.exp()).sum(1)
    return Diagnosis(log_probs, entropy, response_states(hidden, batch))
