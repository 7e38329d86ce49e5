"""Updates in the backward pass: what stops them, and what they are refused for."""

import copy
import math

import pytest
import torch

import preftune
from preftune.errors import ConfigError, RunError
from preftune.training.config import OptimizerSettings
from preftune.training.in_backward import BackwardAdamW
from preftune.training.optimizer import make_optimizer
from preftune.training.update import update
from tests.training.test_step import groups, stepper_of, with_reference

INSIDE = OptimizerSettings(in_backward=True, max_grad_norm=None)


def updated(stepper, settings, examples, steps=2):
    optimizer = make_optimizer(stepper.model, settings)
    found = [
        update(stepper, optimizer, examples, lr=1e-3, max_grad_norm=settings.max_grad_norm)
        for _ in range(steps)
    ]
    return found, [p.detach().clone() for p in stepper.model.parameters()]


@pytest.mark.parametrize("name", ["dpo", "aot", "tdpo1"])
def test_a_step_is_the_same_to_the_last_bit(tiny_model, name):
    """Also for objectives that look at the whole step: one micro-batch is the whole step."""
    usual, inside = stepper_of(tiny_model, name), stepper_of(tiny_model, name)
    if name == "tdpo1":  # its reference is live
        for stepper in (usual, inside):
            reference = copy.deepcopy(stepper.model).requires_grad_(False)
            object.__setattr__(stepper, "reference", reference)
    examples = with_reference(usual, groups(5))
    plain = OptimizerSettings(max_grad_norm=None)
    expected, weights = updated(usual, plain, examples)
    found, moved = updated(inside, INSIDE, examples)
    for (outcome, norm), (usual_outcome, usual_norm) in zip(found, expected, strict=True):
        assert outcome == usual_outcome
        assert norm == pytest.approx(usual_norm, rel=1e-12)  # summed in another order
    assert all(torch.equal(one, two) for one, two in zip(weights, moved, strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_moves_no_weight(tiny_model, bad):
    """The gradient of a loss that is infinite may well be finite."""
    stepper = stepper_of(tiny_model)
    examples = with_reference(stepper, groups(4))
    examples[2].reference[0] = bad
    before = [p.detach().clone() for p in stepper.model.parameters()]
    optimizer = make_optimizer(stepper.model, INSIDE)
    with pytest.raises(RunError) as caught:
        update(stepper, optimizer, examples, lr=0.1, max_grad_norm=None)
    assert caught.value.code == "PT500"
    assert "file:3" in str(caught.value)
    assert "as before this step" in str(caught.value)
    for old, new in zip(before, stepper.model.parameters(), strict=True):
        assert torch.equal(old, new)
        assert new.grad is None


def test_a_gradient_that_is_not_finite_stops_what_comes_after_it(tiny_model):
    stepper = stepper_of(tiny_model)
    examples = with_reference(stepper, groups(4))
    layers = stepper.model.model.model.layers
    layers[0].mlp.down_proj.weight.register_hook(lambda gradient: gradient * math.nan)
    before = {name: p.detach().clone() for name, p in stepper.model.named_parameters()}
    optimizer = make_optimizer(stepper.model, INSIDE)
    with pytest.raises(RunError, match="newest checkpoint counts"):
        update(stepper, optimizer, examples, lr=0.1, max_grad_norm=None)
    now = dict(stepper.model.named_parameters())
    moved = {name for name in now if not torch.equal(now[name], before[name])}
    assert any("layers.1" in name for name in moved)
    assert not any("layers.0.mlp.down_proj" in name for name in moved)
    assert not any("layers.0.self_attn" in name for name in moved)
    assert all(p.isfinite().all() for p in now.values())


def test_other_backward_passes_leave_gradients(tiny_model):
    """Rows at fault are found by running them alone: that must not train."""
    stepper = stepper_of(tiny_model)
    optimizer = make_optimizer(stepper.model, INSIDE)
    assert isinstance(optimizer, BackwardAdamW)
    before = [p.detach().clone() for p in stepper.model.parameters()]
    stepper.train(with_reference(stepper, groups(3)))
    for old, new in zip(before, stepper.model.parameters(), strict=True):
        assert torch.equal(old, new)
        assert new.grad is not None


def train(model, data, out, **settings):
    small = {"optimizer.pairs_per_step": 8, "optimizer.max_steps": 3, "data.held_out": 0.2}
    inside = {"optimizer.in_backward": True, "optimizer.max_grad_norm": None}
    return preftune.train(
        model=str(model), data=str(data), objective="dpo", out=str(out),
        settings=small | inside | settings,
    )  # fmt: skip


def test_clipping_is_refused(tmp_path, tiny_model, tiny_pairs):
    with pytest.raises(ConfigError, match="max_grad_norm=null") as caught:
        train(tiny_model, tiny_pairs, tmp_path / "run", **{"optimizer.max_grad_norm": 1.0})
    assert caught.value.code == "PT311"


@pytest.mark.slow
def test_steps_of_several_micro_batches_are_refused_with_numbers_that_will_do(
    tmp_path, tiny_model, tiny_pairs
):
    with pytest.raises(ConfigError) as caught:
        train(tiny_model, tiny_pairs, tmp_path / "run", tokens_per_batch=200)
    assert caught.value.code == "PT311"
    found = dict(part.split("=") for part in str(caught.value).split() if "=" in part)
    assert found.keys() == {"tokens_per_batch", "optimizer.pairs_per_step"}
    assert not (tmp_path / "run" / "checkpoints").exists()
    fitting = {name: int(value.strip(",.")) for name, value in found.items()}
    for name, value in fitting.items():
        given = {"tokens_per_batch": 200} | {name: value}
        result = train(tiny_model, tiny_pairs, tmp_path / name, **given)
        assert result.steps == 3
