import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from preftune.training.adamw import PiecewiseAdamW
from preftune.training.config import OptimizerSettings
from preftune.training.masters import join, split, to_float32, whole
from preftune.training.optimizer import make_optimizer
from tests.models.tiny import tiny_model


def halves(values):
    weight = torch.empty_like(values, dtype=torch.bfloat16)
    low = torch.empty_like(values, dtype=torch.int16)
    split(values.clone(), weight, low)
    return weight, low


def joined(weight, low):
    out = torch.empty_like(weight, dtype=torch.float32)
    join(weight, low, out, torch.empty_like(weight, dtype=torch.int32))
    return out


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50))
def test_every_float32_is_put_together_again(patterns):
    """Also infinities, numbers below the normal ones, and what rounds up to infinity."""
    bits = torch.tensor(patterns, dtype=torch.int32)
    values = bits.view(torch.float32)
    kept = ~values.isnan()  # a device may change what a NaN says
    again = joined(*halves(values)).view(torch.int32)
    assert torch.equal(again[kept], bits[kept])


def test_the_weight_is_the_master_rounded():
    torch.manual_seed(0)
    values = torch.randn(10_000) * torch.logspace(-30, 30, 10_000)
    weight, low = halves(values)
    tie = low == -(2**15)
    assert torch.equal(weight[~tie], values.bfloat16()[~tie])
    assert torch.equal(
        weight.float()[tie].abs() > values[tie].abs(), torch.ones(int(tie.sum())) > 0
    )


def test_what_is_bfloat16_already_has_nothing_below():
    values = torch.randn(1000).bfloat16()
    weight, low = halves(values.float())
    assert torch.equal(weight, values)
    assert torch.equal(low, whole(values))


def test_in_the_end_a_model_gets_the_bits_that_the_optimizer_kept():
    model = tiny_model("llama", dtype=torch.bfloat16)
    plain = copy.deepcopy(model).float()
    ours = make_optimizer(model, OptimizerSettings())
    theirs = make_optimizer(plain, OptimizerSettings())
    assert isinstance(ours, PiecewiseAdamW)
    assert isinstance(theirs, torch.optim.AdamW)
    for optimizer in (ours, theirs):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[-1]["lr"] = 1e-4
    for _ in range(3):
        for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.float()
        ours.step()
        theirs.step()
    rounded = [p.detach().clone() for p in model.parameters()]
    to_float32(model, ours)
    for mine, other, old in zip(model.parameters(), plain.parameters(), rounded, strict=True):
        assert torch.equal(mine, other)
        assert (mine - old.float()).abs().max() <= 2**-8 * mine.abs().max()
    assert not all(
        torch.equal(old.float(), p) for old, p in zip(rounded, model.parameters(), strict=True)
    )


def test_a_model_in_float32_stays_as_it_is():
    model = tiny_model("llama", dtype=torch.float32)
    before = [p.data_ptr() for p in model.parameters()]
    to_float32(model, make_optimizer(model, OptimizerSettings()))
    assert [p.data_ptr() for p in model.parameters()] == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_updates_far_below_a_weights_last_bit_add_up(dtype):
    """In bfloat16 alone 1 + 1e-4 is 1, however often."""
    weight = torch.nn.Parameter(torch.ones(8, dtype=dtype))
    optimizer = PiecewiseAdamW([{"params": [weight], "weight_decay": 0.0}], betas=(0, 0), eps=0)
    optimizer.param_groups[0]["lr"] = 1e-4
    for _ in range(300):
        weight.grad = torch.full_like(weight, -1.0)
        optimizer.step()
    torch.testing.assert_close(weight.float(), torch.full((8,), 1.03), rtol=4e-3, atol=0)
    assert (weight > 1).all()
