from copy import deepcopy

import pytest
import torch

from preftune.batching import pack
from preftune.models import LogProbModel
from preftune.objectives.binding import bind
from preftune.training.masters import join
from preftune.training.reference import live_reference, move
from tests.models.tiny import random_groups, tiny_model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_small_moves_add_up_whatever_the_weights_are_kept_in(dtype):
    policy = LogProbModel(tiny_model("llama", dtype=dtype))
    reference = live_reference(policy, bind("dpo", {}), moving=True)
    assert reference is not None
    start = [p.detach().double() for p in deepcopy(policy).parameters()]
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(1)
    for _ in range(100):
        move(reference, policy, 0.001)
    share = 1 - 0.999**100
    lows = list(getattr(reference, "low", ()))
    moved = [p.double() for p in reference.model.parameters()]
    if lows:
        moved = [exact(p, low) for p, low in zip(reference.model.parameters(), lows, strict=True)]
    for old, new, found in zip(start, policy.parameters(), moved, strict=True):
        expected = old + share * (new.detach().double() - old)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def exact(weight, low):
    """The float32 numbers that a moving reference holds in two halves."""
    out = torch.empty(weight.numel())
    join(weight.view(-1), low.view(-1), out, torch.empty_like(out, dtype=torch.int32))
    return out.view(weight.shape).double()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_reference_that_moves_starts_as_the_policy_to_the_last_bit(dtype):
    policy = LogProbModel(tiny_model("llama", dtype=dtype))
    reference = live_reference(policy, bind("dpo", {}), moving=True)
    batch = pack(random_groups([2, 2, 3]))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16), torch.no_grad():
        assert torch.equal(reference(batch).tokens, policy(batch).tokens)
        for parameter in policy.parameters():
            parameter.add_(0.5)
        move(reference, policy, 1)
        assert torch.equal(reference(batch).tokens, policy(batch).tokens)
