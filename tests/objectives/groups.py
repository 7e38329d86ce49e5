"""Groups of responses with given log-ratios, for tests of the objectives."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from hypothesis import settings
from torch import Tensor

from preftune.objectives.logprobs import LogProbs, members_of
from tests.objectives.pairs import Loss, Pair, record

few = settings(max_examples=30)
"""For properties that every one of some forty losses must have."""

REFERENCE = -30.0
"""Summed log-prob of every response under the reference."""


def with_ratios(*groups: Sequence[float], dtype: torch.dtype = torch.float64) -> LogProbs:
    """Prompts with the given log-ratios of their responses, of 1, 2, 3, 4, 1, ... tokens."""

    def tokens(total: float, length: int) -> Tensor:
        shares = torch.arange(1, length + 1, dtype=torch.float64)
        return (total * shares / shares.sum()).to(dtype)

    lengths = iter([1 + number % 4 for number in range(sum(len(group) for group in groups))])
    counts = [[next(lengths) for _ in group] for group in groups]
    logps = LogProbs.of_groups(
        [
            [tokens(REFERENCE + ratio, length) for ratio, length in zip(*both, strict=True)]
            for both in zip(groups, counts, strict=True)
        ],
        reference=[[tokens(REFERENCE, length) for length in group] for group in counts],
    )
    return replace(logps, tokens=logps.tokens.requires_grad_())


def thumbed(
    good: Sequence[float],
    bad: Sequence[float],
    mismatched: Sequence[float] | None = None,
    dtype: torch.dtype = torch.float64,
) -> LogProbs:
    """Prompts with one response each: the good ones, the bad ones, then those of other prompts."""
    others = mismatched or []
    logps = with_ratios(*([ratio] for ratio in (*good, *bad, *others)), dtype=dtype)
    thumbs = [1.0] * len(good) + [-1.0] * len(bad) + [0.0] * len(others)
    strange = torch.arange(len(thumbs)) >= len(good) + len(bad)
    return replace(
        logps,
        good=torch.tensor(thumbs, dtype=dtype),
        mismatched=None if mismatched is None else strange,
    )


def ranked(*groups: tuple[Sequence[float], Sequence[int]]) -> LogProbs:
    """Prompts with the log-ratios and the ranks of their responses."""
    logps = with_ratios(*(ratios for ratios, _ in groups))
    return replace(logps, rank=torch.tensor([place for _, places in groups for place in places]))


def rated(*groups: tuple[Sequence[float], Sequence[float]]) -> LogProbs:
    """Prompts with the log-ratios and the scores of their responses."""
    logps = with_ratios(*(ratios for ratios, _ in groups))
    scores = [score for _, group in groups for score in group]
    return replace(logps, score=torch.tensor(scores, dtype=torch.float64))


def by_response(loss: Tensor, logps: LogProbs) -> list[float]:
    """dL / d log-prob of each response: all its tokens share it."""
    (by_token,) = torch.autograd.grad(loss.sum(), logps.tokens)
    found: list[float] = []
    for response in range(len(logps.group)):
        values = by_token[logps.response == response]
        torch.testing.assert_close(values, values[:1].expand_as(values), rtol=0, atol=0)
        found.append(values[0].item())
    return found


def response_slopes(loss: Loss, logps: LogProbs) -> list[float]:
    """The same, of a loss with its settings filled in."""
    return by_response(loss(logps), logps)


def with_everything(*pairs: Pair, dtype: torch.dtype = torch.float64) -> LogProbs:
    """A record that every objective can read: each prompt has the pair, and after it a response
    to another prompt. All that data and model may hold is there, but weights and doubt."""
    two = record(*pairs, dtype=dtype)
    chosen, rejected = two.winner.tolist(), two.loser.tolist()

    def of(tokens: Tensor, response: int) -> Tensor:
        return tokens.detach()[two.response == response]

    def groups(tokens: Tensor, stranger: float) -> list[list[Tensor]]:
        strange = torch.tensor([stranger, stranger / 2], dtype=dtype)
        return [
            [of(tokens, one), of(tokens, other), strange]
            for one, other in zip(chosen, rejected, strict=True)
        ]

    count = len(pairs)
    assert two.reference is not None
    logps = LogProbs.of_groups(
        groups(two.tokens, -3.1),
        reference=groups(two.reference, -4.0),
        relations=[(3 * pair, 3 * pair + 1) for pair in range(count)],
    )
    places = torch.arange(3 * count) % 3
    unlikely = logps.tokens.detach().abs()
    return replace(
        logps,
        tokens=logps.tokens.requires_grad_(),
        members=members_of([2] * count, [1] * count),
        mismatched=places == 2,
        good=torch.tensor([1.0, -1.0, 0.0], dtype=dtype)[places],
        rank=torch.tensor([0, 1, -1])[places],
        score=torch.tensor([1.5, 0.5, torch.nan], dtype=dtype)[places],
        margin=torch.full((count,), 1.0, dtype=dtype),
        tie=torch.zeros(count, dtype=torch.bool),
        kl=(0.01 * unlikely + 0.05).requires_grad_(),
        collision=-0.1 * unlikely - 1,
    )
