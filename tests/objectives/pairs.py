"""Pairs with given log-probs, for tests of the objectives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import dpo


@dataclass(frozen=True)
class Pair:
    """Log-probs of both responses under policy and reference, and their numbers of tokens."""

    chosen: float
    rejected: float
    reference_chosen: float
    reference_rejected: float
    tokens_chosen: int = 3
    tokens_rejected: int = 5
    strength: float = 1.0

    @property
    def margin(self) -> float:
        return (self.chosen - self.reference_chosen) - (self.rejected - self.reference_rejected)


def record(*pairs: Pair, dtype: torch.dtype = torch.float64) -> LogProbs:
    """A batch of pairs, each log-prob spread unevenly over its tokens; `tokens` asks for grad."""

    def spread(total: float, count: int) -> Tensor:
        shares = torch.arange(1, count + 1, dtype=torch.float64)
        return (total * shares / shares.sum()).to(dtype)

    logps = LogProbs.of_pairs(
        [spread(pair.chosen, pair.tokens_chosen) for pair in pairs],
        [spread(pair.rejected, pair.tokens_rejected) for pair in pairs],
        reference_chosen=[spread(pair.reference_chosen, pair.tokens_chosen) for pair in pairs],
        reference_rejected=[
            spread(pair.reference_rejected, pair.tokens_rejected) for pair in pairs
        ],
    )
    strength = torch.tensor([pair.strength for pair in pairs], dtype=dtype)
    return replace(logps, tokens=logps.tokens.requires_grad_(), strength=strength)


def gradients(loss: Tensor, logps: LogProbs) -> tuple[list[float], list[float]]:
    """dL / d log-prob of each chosen and rejected response: all its tokens share it."""
    (by_token,) = torch.autograd.grad(loss.sum(), logps.tokens)
    sides: tuple[list[float], list[float]] = ([], [])
    for response in range(len(logps.group)):
        values = by_token[logps.response == response]
        torch.testing.assert_close(values, values[:1].expand_as(values), rtol=0, atol=0)
        sides[response % 2].append(values[0].item())
    return sides


def policy_over(
    log_policy: Tensor, log_reference: Tensor, judged: Sequence[tuple[int, int, float]]
) -> LogProbs:
    """One prompt with one-token responses: `judged` holds (winner, loser, strength)."""
    actions = len(log_policy)
    winners, losers, strengths = zip(*judged, strict=True)
    return LogProbs(
        tokens=log_policy,
        mask=torch.ones(actions, dtype=torch.bool),
        response=torch.arange(actions),
        group=torch.zeros(actions, dtype=torch.int64),
        winner=torch.tensor(winners),
        loser=torch.tensor(losers),
        strength=torch.tensor(strengths, dtype=log_policy.dtype),
        reference=log_reference,
    )


def at_margin(margin: float) -> Pair:
    """A pair with the given margin in nats."""
    return Pair(margin - 30, -40, -30, -40)


def loss_of(pair: Pair, *, beta: float = 0.1, label_smoothing: float = 0.0) -> float:
    """DPO's loss of one pair."""
    return dpo(record(pair), beta=beta, label_smoothing=label_smoothing).item()


def close(actual: float, expected: float, tolerance: float = 1e-9) -> None:
    """Equal up to `tolerance`, relative for numbers over 1."""
    assert math.isclose(actual, expected, rel_tol=tolerance, abs_tol=tolerance)
