from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, log_softmax

from preftune.objectives import LogProbs
from preftune.objectives.losses.likelihood import sft

VOCABULARY = 11


def demonstrations(logits: torch.Tensor, targets: torch.Tensor, lengths: list[int]) -> LogProbs:
    """One response for each length, its log-probs read off the logits of all tokens."""
    tokens = log_softmax(logits, -1).gather(-1, targets[:, None]).squeeze(-1)
    none = torch.zeros(0, dtype=torch.int64)
    return LogProbs(
        tokens=tokens,
        mask=torch.ones_like(tokens, dtype=torch.bool),
        response=torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
        group=torch.arange(len(lengths)),
        winner=none,
        loser=none,
        strength=torch.zeros(0),
    )


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
    assert loss.tolist() == [3.0, 4.5]
    (gradient,) = torch.autograd.grad(loss.sum(), tokens)
    assert gradient.tolist() == [-1.0, -1.0, 0.0, -1.0, -1.0]
