"""Log-probs of given tokens, and statistics of the whole vocabulary, without `[token, vocab]`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from preftune.models.one_pass import one_pass
from preftune.models.vocabulary import LazyLogits

VOCAB_BLOCK = 8192
TOKEN_BLOCK = 2048
"""With more tokens than this a block of the vocabulary is walked in parts: 64 MiB of logits."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenStatistics:
    """What a model says of given tokens, in nats; none where it was not asked for."""

    log_probs: Tensor
    """(token,) log p(target), differentiable."""
    collision: Tensor | None = None
    """(token,) log sum_v p_v^2, without gradient."""
    kl: Tensor | None = None
    """(token,) sum_v ref_v (log ref_v - log p_v), differentiable."""
    reference: Tensor | None = None
    """(token,) log ref(target), without gradient; comes with the KL."""


def token_log_probs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    softcap: float | None = None,
    scale: float = 1.0,
    vocab_block: int = VOCAB_BLOCK,
    token_block: int = TOKEN_BLOCK,
) -> Tensor:
    """Log p(target) under `softmax(cap(scale * (hidden @ weight.T + bias)))`, in nats.

    `cap(z) = softcap * tanh(z / softcap)`, as Gemma 2 has it; none without a soft cap. The matmuls
    run in autocast's dtype or the weight's; reductions in float32, or float64 for float64.

    Args:
        hidden: (token, hidden) final hidden states.
        weight: (vocab, hidden) the output layer's.
        targets: (token,) int64 ids.
        bias: (vocab,) or none.
        softcap: Bound of the logits, > 0, or none.
        scale: Factor of the logits before the cap.
        vocab_block: Columns of the logits that exist at a time.
        token_block: Rows of the logits that exist at a time.

    Returns:
        (token,) float32 or float64, differentiable in `hidden`, `weight` and `bias`.
    """
    logits = LazyLogits(hidden, weight, bias, softcap, scale)
    return token_statistics(
        logits, targets, vocab_block=vocab_block, token_block=token_block
    ).log_probs


def token_statistics(
    logits: LazyLogits,
    targets: Tensor,
    *,
    collision: bool = False,
    reference: LazyLogits | None = None,
    vocab_block: int = VOCAB_BLOCK,
    token_block: int = TOKEN_BLOCK,
) -> TokenStatistics:
    """Log p(target), and from the same pass what is asked for of the whole vocabulary.

    collision = log sum_v p_v^2,  kl = sum_v ref_v (log ref_v - log p_v)

    Backward makes the reference's blocks again too: d kl / d logit_v = p_v - ref_v. The KL is below
    0 by rounding only, and exactly 0 where policy and reference are the same numbers.

    Args:
        logits: The policy's, of the tokens' predictors.
        targets: (token,) int64 ids.
        collision: Ask for the collision.
        reference: Another model's, of the same tokens and vocabulary; its hidden size and rule may
            differ. Asks for the KL, and never gets a gradient.
        vocab_block: Columns of the logits that exist at a time, of each model.
        token_block: Rows of the logits that exist at a time, of each model.

    Returns:
        All (token,) float32, or float64 where the policy's weight is.

    Raises:
        ValueError: the reference has another vocabulary or other tokens.

    Example:
        >>> policy = LazyLogits(torch.eye(2), torch.tensor([[3.0, 0.0], [0.0, 0.0]]))
        >>> found = token_statistics(policy, torch.tensor([0, 0]), collision=True)
        >>> found.log_probs, found.collision.exp()  # the second token is uniform
        (tensor([-0.0486, -0.6931]), tensor([0.9096, 0.5000]))
    """
    if reference is not None:
        _require_same_shape(
            (len(reference.hidden), len(reference.weight)),
            (len(logits.hidden), len(logits.weight)),
        )
    return TokenStatistics(
        *one_pass(logits, targets, collision, reference, (vocab_block, token_block))
    )


def log_probs_of_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """(token,) log p(target) from logits (token, vocab) that a model made itself."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return wide.gather(1, targets[:, None]).squeeze(1) - wide.logsumexp(1)


def statistics_of_logits(
    logits: Tensor, targets: Tensor, *, collision: bool = False, reference: Tensor | None = None
) -> TokenStatistics:
    """`token_statistics` from logits (token, vocab) of both models, by plain autograd.

    Raises:
        ValueError: the reference has another vocabulary or other tokens.
    """
    log_probs = log_probs_of_logits(logits, targets)
    wide = logits.to(log_probs.dtype)
    squares = None
    if collision:
        known = wide.detach()
        squares = (2 * known).logsumexp(1) - 2 * known.logsumexp(1)
    if reference is None:
        return TokenStatistics(log_probs, squares)
    _require_same_shape(reference.shape, logits.shape)
    frozen = reference.detach().to(wide.dtype)
    total = frozen.logsumexp(1)
    apart = (frozen - total[:, None]).exp() * (wide - frozen)
    kl = wide.logsumexp(1) - total - apart.sum(1)
    return TokenStatistics(log_probs, squares, kl, log_probs_of_logits(frozen, targets))


def _require_same_shape(reference: tuple[int, ...], policy: tuple[int, ...]) -> None:
    if tuple(reference) != tuple(policy):
        raise ValueError(
            f"The reference has {reference[0]:,} tokens over a vocabulary of {reference[1]:,}, the "
            f"policy {policy[0]:,} over {policy[1]:,}: a KL needs the same tokens and vocabulary."
        )
