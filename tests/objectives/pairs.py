"""Pairs with given log-probs, for tests of the objectives."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.logistic import dpo

Loss = Callable[[LogProbs], Tensor]
"""A loss with its settings filled in."""


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

    @property
    def swapped(self) -> "Pair":
        """The same two responses, judged the other way round."""
        return Pair(
            self.rejected,
            self.chosen,
            self.reference_rejected,
            self.reference_chosen,
            self.tokens_rejected,
            self.tokens_chosen,
            self.strength,
        )


# (log-prob chosen, rejected, reference's, tokens): at the start; good; displaced (the margin of
# the good one, both log-probs lower); the wrong way.
FIXTURES = {
    "start": Pair(-42, -50, -42, -50, 20, 25),
    "good": Pair(-40, -55, -42, -50, 20, 25),
    "displaced": Pair(-45, -60, -42, -50, 20, 25),
    "wrong": Pair(-44, -49, -42, -50, 20, 25),
}


def record(*pairs: Pair, dtype: torch.dtype = torch.float64) -> LogProbs:
    """A batch of pairs, each log-prob spread unevenly over its tokens; `tokens` asks for grad."""

    def spread(total: float, count: int) -> Tensor:
        whole = count * (count + 1) / 2
        return torch.tensor([total * share / whole for share in range(1, count + 1)], dtype=dtype)

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


def record_of_tokens() -> LogProbs:
    """A pair of 3 and 5 tokens: log-ratios 0.2 and -0.5, margin 0.7."""

    def tokens(*values: float) -> list[Tensor]:
        return [torch.tensor(values, dtype=torch.float64)]

    logps = LogProbs.of_pairs(
        tokens(-0.5, -1.0, -0.2),
        tokens(-1.2, -0.3, -0.8, -2.0, -0.1),
        reference_chosen=tokens(-0.6, -0.9, -0.4),
        reference_rejected=tokens(-1.0, -0.5, -0.7, -1.5, -0.2),
    )
    return replace(logps, tokens=logps.tokens.requires_grad_())


def gradients(loss: Tensor, logps: LogProbs) -> tuple[list[float], list[float]]:
    """dL / d log-prob of each chosen and rejected response: all its tokens share it."""
    (by_token,) = torch.autograd.grad(loss.sum(), logps.tokens)
    sides: tuple[list[float], list[float]] = ([], [])
    for response, values in enumerate(by_token.split(logps.response.bincount().tolist())):
        assert (values == values[0]).all(), values
        sides[response % 2].append(values[0].item())
    return sides


def policy_over(
    log_policy: Tensor, log_reference: Tensor, judged: Sequence[tuple[int, int, float]]
) -> LogProbs:
    """One prompt with one-token responses: `judged` holds (winner, loser, strength)."""
    logps = LogProbs.of_groups(
        [list(log_policy.split(1))],
        reference=[list(log_reference.split(1))],
        relations=[(winner, loser) for winner, loser, _ in judged],
    )
    strengths = [strength for _, _, strength in judged]
    return replace(logps, strength=torch.tensor(strengths, dtype=log_policy.dtype))


def at_margin(margin: float) -> Pair:
    """A pair with the given margin in nats."""
    return Pair(margin - 30, -40, -30, -40)


def of_ratios(chosen: float, rejected: float) -> Pair:
    """A pair of 3 and 5 tokens with the given log-ratios in nats."""
    return Pair(chosen - 30, rejected - 40, -30, -40)


def loss_of(pair: Pair, *, beta: float = 0.1, label_smoothing: float = 0.0) -> float:
    """DPO's loss of one pair."""
    return dpo(record(pair), beta=beta, label_smoothing=label_smoothing).item()


def value(loss: Loss, pair: Pair) -> float:
    """Any loss of one pair."""
    return loss(record(pair)).item()


def slopes(loss: Loss, pair: Pair) -> tuple[float, float]:
    """dL / d log-prob of the chosen and of the rejected response of one pair."""
    logps = record(pair)
    (chosen,), (rejected,) = gradients(loss(logps), logps)
    return chosen, rejected


def close(actual: float, expected: float, tolerance: float = 1e-9) -> None:
    """Equal up to `tolerance`, relative for numbers over 1."""
    assert math.isclose(actual, expected, rel_tol=tolerance, abs_tol=tolerance), (actual, expected)


def check_golden(
    loss: Loss, logps: LogProbs, expected: tuple[float, float, float], small: float = 1e-6
) -> None:
    """Loss, dL / d log-prob chosen and rejected of one pair, from 40-digit arithmetic.

    To `small` absolute, relative for large ones; in float64 to five digits also where they are
    tiny: the slopes are known to six.
    """
    values = loss(logps)
    assert values.dtype == logps.tokens.dtype
    assert values.shape == (1,)
    (chosen,), (rejected,) = gradients(values, logps)
    for actual, wanted in zip((values.item(), chosen, rejected), expected, strict=True):
        if logps.tokens.dtype == torch.float64:
            assert math.isclose(actual, wanted, rel_tol=1e-5, abs_tol=1e-11), (actual, wanted)
        close(actual, wanted, small)


def check_central_difference(loss: Loss, logps: LogProbs, step: float = 1e-4) -> None:
    """The gradient by every token is what a small step does to the loss."""

    def of_tokens(tokens: Tensor) -> Tensor:
        return loss(replace(logps, tokens=tokens))

    assert torch.autograd.gradcheck(of_tokens, logps.tokens, eps=step, atol=1e-6, rtol=1e-6)


def check_finite(loss: Loss, logps: LogProbs) -> None:
    """Loss and gradient are finite numbers of the record's dtype."""
    values = loss(logps)
    assert values.dtype == logps.tokens.dtype
    (gradient,) = torch.autograd.grad(values.sum(), logps.tokens)
    assert values.isfinite().all(), values
    assert gradient.isfinite().all(), gradient


def check_doubt(loss: Loss, pair: Pair) -> None:
    """Strength p: p times the loss of the judgement, 1 - p times that of the other one."""
    sure = replace(pair, strength=1.0)
    expected = pair.strength * value(loss, sure) + (1 - pair.strength) * value(loss, sure.swapped)
    close(value(loss, pair), expected)
    chosen, rejected = slopes(loss, pair)
    for_chosen, for_rejected = slopes(loss, sure)
    against_rejected, against_chosen = slopes(loss, sure.swapped)
    close(chosen, pair.strength * for_chosen + (1 - pair.strength) * against_chosen)
    close(rejected, pair.strength * for_rejected + (1 - pair.strength) * against_rejected)


def doubled(logps: LogProbs) -> LogProbs:
    """Every token twice, one after the other: means stay, sums double."""
    assert logps.reference is not None
    return replace(
        logps,
        tokens=logps.tokens.repeat_interleave(2),
        mask=logps.mask.repeat_interleave(2),
        response=logps.response.repeat_interleave(2),
        reference=logps.reference.repeat_interleave(2),
    )


few = settings(max_examples=25)
fewer = settings(max_examples=10)
"""Examples of a property: each costs milliseconds, central differences tens of them, and there are
hundreds of properties."""
nats = st.floats(-200.0, 0.0)
betas = st.floats(0.01, 2.0)
strengths = st.floats(0.501, 1.0)
lengths = st.integers(1, 12)
sure_pairs = st.builds(Pair, nats, nats, nats, nats, lengths, lengths)
pairs = st.builds(Pair, nats, nats, nats, nats, lengths, lengths, strengths)
