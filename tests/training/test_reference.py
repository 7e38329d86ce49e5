from copy import deepcopy

import pytest
import torch

from preftune.models import LogProbModel
from preftune.objectives.binding import bind
from preftune.training.reference import live_reference, move
from tests.models.tiny import tiny_model


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
    for old, new, moved in zip(start, policy.parameters(), reference.parameters(), strict=True):
        expected = old + share * (new.detach().double() - old)
        torch.testing.assert_close(moved.double(), expected, rtol=1e-4, atol=1e-4)
