"""Gradients of bfloat16 weights: sums and norms are float32, whatever the micro-batches."""

import copy

import pytest
import torch
from torch import nn

from preftune.models import LogProbModel, load_model
from preftune.objectives.binding import bind
from preftune.training.gradients import clip_factor, sum_gradients_of, total_norm
from preftune.training.step import Stepper
from tests.training.test_step import groups, with_reference


def stepper_of(folder, tokens_per_batch=10**6):
    model = LogProbModel(load_model(str(folder), dtype="bfloat16"))
    return Stepper(model, bind("dpo", {}), tokens_per_batch, "bfloat16")


def test_many_small_gradients_are_not_lost():
    """In bfloat16 a sum of ones stops at 256."""
    layer = nn.Linear(3, 1, bias=False, dtype=torch.bfloat16)
    sum_gradients_of(layer, num_batches=1000)
    for _ in range(1000):
        layer(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert torch.equal(layer.weight.grad, torch.full((1, 3), 1000.0))


def test_a_single_micro_batch_keeps_its_gradient_in_half_the_memory(tiny_model):
    """Rounded once: to within a unit of bfloat16's last place it is the float32 one."""
    stepper = stepper_of(tiny_model)
    examples = with_reference(stepper, groups(6))
    found = {}
    for num_batches in (1, 2):
        sum_gradients_of(stepper.model, num_batches=num_batches)
        stepper.train(examples)
        found[num_batches] = [p.grad for p in stepper.model.parameters()]
        stepper.model.zero_grad(set_to_none=True)
    assert stepper.num_batches(examples) == 1
    assert {gradient.dtype for gradient in found[1]} == {torch.bfloat16}
    assert {gradient.dtype for gradient in found[2]} == {torch.float32}
    for narrow, wide in zip(found[1], found[2], strict=True):
        assert narrow.nbytes * 2 == wide.nbytes
        assert (narrow.float() - wide).norm() <= 2**-8 * wide.norm()


def test_cut_into_micro_batches_gradients_are_summed_in_float32(tiny_model):
    stepper = stepper_of(tiny_model, tokens_per_batch=40)
    examples = with_reference(stepper, groups(8))
    assert stepper.num_batches(examples) > 3
    sum_gradients_of(stepper.model, num_batches=stepper.num_batches(examples))
    stepper.train(examples)
    assert {p.grad.dtype for p in stepper.model.parameters()} == {torch.float32}
    exact = copy.deepcopy(stepper.model).double()
    again = Stepper(exact, stepper.objective, 10**6, "float32")
    again.train(examples)
    for mine, theirs in zip(stepper.model.parameters(), exact.parameters(), strict=True):
        apart = (mine.grad.double() - theirs.grad).norm()
        assert apart < 0.1 * theirs.grad.norm()  # bfloat16 matmuls


def test_the_norm_is_float32_and_clips_as_torch_does():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(50, 40), nn.Linear(40, 30)).bfloat16()
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    exact = torch.cat([p.grad.double().view(-1) for p in model.parameters()]).norm()
    norm = total_norm(model)
    assert norm.dtype == torch.float32
    assert norm.item() == pytest.approx(exact.item(), rel=1e-6)
    wide = copy.deepcopy(model).float()
    for mine, theirs in zip(model.parameters(), wide.parameters(), strict=True):
        theirs.grad = mine.grad.float()
    before = [p.grad.clone() for p in wide.parameters()]
    torch.nn.utils.clip_grads_with_norm_(wide.parameters(), 0.5, norm)
    factor = clip_factor(norm, 0.5)
    for old, clipped in zip(before, wide.parameters(), strict=True):
        assert torch.equal(old * factor, clipped.grad)
    assert clip_factor(norm, 1e6) == 1
    assert clip_factor(norm, None) is None
