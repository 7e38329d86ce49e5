"""Against torch's own AdamW, bit for bit; and what each way of keeping the state costs."""

import copy

import pytest
import torch
from torch import nn

from preftune.training.adamw import PIECE, PiecewiseAdamW
from preftune.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from preftune.training.config import OptimizerSettings
from preftune.training.in_backward import BackwardAdamW
from preftune.training.masters import join
from preftune.training.optimizer import make_optimizer, optimizer_bytes
from tests.models.tiny import tiny_model

SETTINGS = {
    "masters": OptimizerSettings(weight_decay=0.1),
    "8-bit": OptimizerSettings(name="adamw-8bit"),
    "backward": OptimizerSettings(in_backward=True, max_grad_norm=None),
    "8-bit backward": OptimizerSettings(name="adamw-8bit", in_backward=True, max_grad_norm=None),
}


class Shapes(nn.Module):
    """Shapes that end within a piece, on its edge and behind it."""

    def __init__(self, dtype):
        super().__init__()
        torch.manual_seed(0)
        piece = PIECE["cpu"]
        shapes = [(3,), (5, 7), (piece,), (2, piece), (piece + 77,)]
        made = [nn.Parameter(torch.randn(shape).mul(0.1).bfloat16().to(dtype)) for shape in shapes]
        self.weights = nn.ParameterList(made)


def rates(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate


@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("gradients", [torch.float32, torch.bfloat16])
def test_bfloat16_weights_with_masters_are_float32_adamw_bit_for_bit(clip, gradients):
    ours, theirs = Shapes(torch.bfloat16), Shapes(torch.float32)
    settings = OptimizerSettings(weight_decay=0.1)
    mine, other = make_optimizer(ours, settings), make_optimizer(theirs, settings)
    assert isinstance(mine, PiecewiseAdamW)
    assert isinstance(other, torch.optim.AdamW)
    factor = None if clip is None else torch.tensor(clip)
    for step in range(3):
        rates(mine, 1e-3 / (step + 1))
        rates(other, 1e-3 / (step + 1))
        for weight, wide in zip(ours.weights, theirs.weights, strict=True):
            gradient = torch.randn(weight.shape).to(gradients)
            weight.grad_dtype = gradients
            weight.grad = gradient
            wide.grad = gradient.float() * (1 if clip is None else factor)
        mine.step(factor=factor)
        other.step()
    for weight, wide in zip(ours.weights, theirs.weights, strict=True):
        state = mine.state[weight]
        master = torch.empty(weight.numel())
        flat, low = weight.detach().view(-1), state["low"].view(-1)
        join(flat, low, master, torch.empty(weight.numel(), dtype=torch.int32))
        assert torch.equal(master, wide.detach().view(-1))
        for name in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(state[name], other.state[wide][name])


def loss_of(model, ids):
    return model(ids, labels=ids).loss


def train(model, settings, steps, *, seed=0, optimizer=None, rate=3e-3):
    """Plain language modelling of one random text, as fast as it goes."""
    optimizer = optimizer or make_optimizer(model, settings)
    rates(optimizer, rate)
    torch.manual_seed(seed)
    ids = torch.randint(3, 90, (4, 24))
    for _ in range(steps):
        loss = loss_of(model, ids)
        if isinstance(optimizer, BackwardAdamW):
            with optimizer.armed():
                loss.backward()
        else:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return loss_of(model, ids).item(), optimizer


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["adamw", "adamw-8bit"])
def test_in_the_backward_pass_the_update_is_the_same_bit_for_bit(tied, dtype, name):
    """Tied weights have one gradient, the sum of both uses, and move once."""
    model = tiny_model("llama", dtype=dtype, tie_word_embeddings=tied, hidden_size=64)
    other = copy.deepcopy(model)
    settings = OptimizerSettings(name=name)
    usual, _ = train(model, settings, 5)
    inside, optimizer = train(other, settings.model_copy(update={"in_backward": True}), 5)
    assert inside == usual
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert two.grad is None
    assert all(state["step"] == 5 for state in optimizer.state.values())


def test_eight_bits_learn_as_fast_as_thirty_two():
    shape = {"hidden_size": 64, "intermediate_size": 128}
    start = loss_of(tiny_model("llama", dtype=torch.float32, **shape), torch.arange(3, 40)[None])
    losses = {}
    for name in ("adamw", "adamw-8bit"):
        model = tiny_model("llama", dtype=torch.float32, **shape)
        losses[name], _ = train(model, OptimizerSettings(name=name), 40)
    assert losses["adamw"] < 0.5 * start
    assert losses["adamw-8bit"] == pytest.approx(losses["adamw"], rel=0.05)


def held(optimizer):
    states = optimizer.state_dict()["state"].values()
    return sum(value.nbytes for state in states for value in state.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["adamw", "adamw-8bit"])
def test_the_state_takes_the_memory_it_was_promised_to(name, dtype):
    model = tiny_model("llama", dtype=dtype, hidden_size=128, intermediate_size=300)
    settings = OptimizerSettings(name=name)
    promised = optimizer_bytes(model, settings)
    _, optimizer = train(model, settings, 1)
    assert held(optimizer) == promised
    with torch.device("meta"):
        shapes = tiny_model("llama", dtype=dtype, hidden_size=128, intermediate_size=300)
    assert optimizer_bytes(shapes, settings) == promised
    weight = next(p for n, p in model.named_parameters() if n.endswith("gate_proj.weight"))
    each = sum(v.nbytes for v in optimizer.state[weight].values()) / weight.numel()
    low = 2 if dtype == torch.bfloat16 else 0
    assert each == pytest.approx(low + (8 if name == "adamw" else 2 + 1 / 32), abs=1e-3)


def test_embeddings_and_small_weights_keep_float32_moments():
    model = tiny_model("llama", dtype=torch.float32, hidden_size=64, tie_word_embeddings=True)
    _, optimizer = train(model, SETTINGS["8-bit"], 1)
    for name, weight in model.named_parameters():
        wide = "embed" in name or weight.numel() < 4096
        dtype = optimizer.state[weight]["exp_avg"].dtype
        assert dtype == (torch.float32 if wide else torch.uint8), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", SETTINGS)
def test_from_a_checkpoint_it_goes_on_to_the_same_bits(tmp_path, kind, dtype):
    whole = tiny_model("llama", dtype=dtype, hidden_size=64)
    stopped, fresh = copy.deepcopy(whole), tiny_model("llama", dtype=dtype, hidden_size=64, seed=9)
    settings = SETTINGS[kind]
    train(whole, settings, 5)
    _, optimizer = train(stopped, settings, 2)
    path = save_checkpoint(tmp_path, stopped, optimizer, Progress(2))
    again = make_optimizer(fresh, settings)
    load_checkpoint(path, fresh, again)
    before, after = optimizer.state_dict()["state"], again.state_dict()["state"]
    assert before.keys() == after.keys()
    for index, state in before.items():
        for name, value in state.items():
            assert value.dtype == after[index][name].dtype
            assert torch.equal(value, after[index][name])
    train(fresh, settings, 3, optimizer=again)
    for one, two in zip(whole.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, two)
