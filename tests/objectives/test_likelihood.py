from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, log_softmax

from preftune.objectives import LogProbs
from preftune.objectives.losses.likelihood import sft, unlikelihood
from tests.objectives.groups import few
from tests.objectives.pairs import (
    FIXTURES,
    Pair,
    check_doubt,
    check_finite,
    close,
    pairs,
    record,
    slopes,
    sure_pairs,
    value,
)

VOCABULARY = 11


def demonstrations(logits: torch.Tensor, targets: torch.Tensor, lengths: list[int]) -> LogProbs:
    """One response for each length, its log-probs read off the logits of all tokens."""
    tokens = log_softmax(logits, -1).gather(-1, targets[:, None]).squeeze(-1)
    return LogProbs.of_groups([[response] for response in tokens.split(lengths)])


def random_batch(seed: int, lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    count = sum(lengths)
    logits = torch.randn(count, VOCABULARY, generator=generator, dtype=torch.float64)
    targets = torch.randint(VOCABULARY, (count,), generator=generator)
    return logits.requires_grad_(), targets


@given(st.integers(0, 2**31), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_over_its_denominator_it_is_the_cross_entropy_of_all_tokens(
    seed: int, lengths: list[int]
) -> None:
    logits, targets = random_batch(seed, lengths)
    logps = demonstrations(logits, targets, lengths)
    loss = sft(logps).sum() / logps.mask.sum()
    expected = cross_entropy(logits, targets)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits)[0],
        torch.autograd.grad(expected, logits)[0],
        rtol=0,
        atol=1e-12,
    )


@given(st.integers(0, 2**31), st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_how_a_step_is_cut_into_micro_batches_does_not_matter(
    seed: int, lengths: list[int]
) -> None:
    logits, targets = random_batch(seed, lengths)
    whole = demonstrations(logits, targets, lengths)
    first = lengths[0]
    parts = [
        demonstrations(logits[:first], targets[:first], lengths[:1]),
        demonstrations(logits[first:], targets[first:], lengths[1:]),
    ]
    total = sum(part.mask.sum() for part in parts)
    pieces = sum(sft(part).sum() for part in parts) / total
    torch.testing.assert_close(pieces, sft(whole).sum() / whole.mask.sum())


def test_every_response_sums_its_own_trained_tokens() -> None:
    logps = LogProbs.of_pairs([torch.tensor([-1.0, -2.0, -8.0])], [torch.tensor([-4.0, -0.5])])
    mask = torch.tensor([True, True, False, True, True])
    tokens = logps.tokens.clone().requires_grad_()
    loss = sft(replace(logps, tokens=tokens, mask=mask))
    assert loss.tolist() == [3.0, 0.0]
    (gradient,) = torch.autograd.grad(loss.sum(), tokens)
    assert gradient.tolist() == [-1.0, -1.0, 0.0, 0.0, 0.0]
    every = sft(replace(logps, tokens=tokens, mask=mask, preferred=None))
    assert every.tolist() == [3.0, 4.5]
    (gradient,) = torch.autograd.grad(every.sum(), tokens)
    assert gradient.tolist() == [-1.0, -1.0, 0.0, -1.0, -1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fixture", FIXTURES)
def test_unlikelihood_worked(fixture: str, dtype: torch.dtype) -> None:
    pair = FIXTURES[fixture]
    logps = record(pair, dtype=dtype)
    loss = unlikelihood(logps)
    assert loss.dtype == dtype
    close(loss.item(), -pair.chosen + 0.1 * pair.rejected, 1e-6)


@few
@given(sure_pairs, st.floats(0.0, 2.0))
def test_unlikelihood_never_saturates(pair: Pair, alpha: float) -> None:
    """The slopes are -1 and alpha wherever the policy stands, so the loss has no bottom."""
    loss = partial(unlikelihood, alpha=alpha)
    assert slopes(loss, pair) == (-1.0, alpha)
    close(value(loss, pair), alpha * pair.rejected - pair.chosen)


@few
@given(sure_pairs)
def test_unlikelihood_without_the_rejected_is_sft_on_the_chosen(pair: Pair) -> None:
    logps = record(pair)
    torch.testing.assert_close(unlikelihood(logps, alpha=0.0), sft(logps)[:1], rtol=0, atol=0)


@few
@given(pairs)
def test_unlikelihood_under_doubt(pair: Pair) -> None:
    check_doubt(unlikelihood, pair)


@pytest.mark.parametrize("sums", [(-1e4, 0.0), (0.0, -1e4)])
def test_unlikelihood_stays_finite_and_may_be_negative(sums: tuple[float, float]) -> None:
    logps = record(Pair(*sums, 0, 0), dtype=torch.float32)
    check_finite(unlikelihood, logps)
    close(unlikelihood(logps).item(), 0.1 * sums[1] - sums[0], 1e-6)
