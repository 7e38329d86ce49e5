"""What every objective of the catalogue must do, whatever it learns from."""

from dataclasses import fields, replace
from functools import partial
from pkgutil import resolve_name

import pytest
import torch
from torch import Tensor

from preftune.objectives.binding import bind
from preftune.objectives.bound import Part
from preftune.objectives.catalogue import CATALOGUE
from preftune.objectives.logprobs import LogProbs
from tests.objectives.groups import with_everything
from tests.objectives.pairs import Pair, check_central_difference, of_ratios

STEP = (
    Pair(-40.0, -55.0, -42.0, -50.0, 4, 6),
    Pair(-44.0, -49.5, -42.0, -50.0, 5, 3),
    Pair(-31.0, -36.0, -31.5, -33.0, 2, 4, strength=0.8),
)
UNITS = {"relation": 3, "response": 9, "group": 3}

# Statistics without gradient, given as constants; what follows the policy by them is switched off.
CONSTANT = {
    "kto": {"kl": 0.4},
    "bco": {"good_reward": 0.1, "bad_reward": -0.2},
    "beta_dpo": {"margin_mean": 1.0, "margin_deviation": 1e6},
    "alpha_dpo": {"gap_mean": 0.1, "gap_deviation": 1e9},
}
EXACT = {"beta_dpo": {"sensitivity": 0.0}}


def weighed(*pairs: Pair, dtype: torch.dtype = torch.float64) -> LogProbs:
    """With doubt about the judgements, and with a weight for each prompt."""
    logps = with_everything(*pairs, dtype=dtype)
    weight = 1 + 0.01 * logps.sums.detach()[logps.winner].abs()
    strength = torch.tensor([pair.strength for pair in pairs], dtype=dtype)
    return replace(logps, strength=strength, weight=weight, group_weight=weight)


def part(name: str, **settings: float) -> Part:
    return bind(name, settings).parts[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CATALOGUE)
def test_one_value_for_each_unit_in_the_records_dtype(name: str, dtype: torch.dtype) -> None:
    losses = part(name)(weighed(*STEP, dtype=dtype))
    assert losses.shape == (UNITS[CATALOGUE[name].unit],)
    assert losses.dtype == dtype
    assert losses.requires_grad
    assert losses.isfinite().all()


@pytest.mark.parametrize("name", CATALOGUE)
def test_gradient_is_the_central_difference(name: str) -> None:
    """Where a part of the loss has no gradient by design, with that part held still."""
    loss = resolve_name(CATALOGUE[name].loss)
    held = {key: torch.tensor(value) for key, value in CONSTANT.get(name, {}).items()}
    settings = part(name, **EXACT.get(name, {})).settings
    logps = weighed(*STEP)
    assert logps.collision is not None
    logps = replace(logps, collision=logps.collision - 20)  # WPO's weights are at their limit
    check_central_difference(partial(loss, **settings, **held), logps, step=1e-5)


@pytest.mark.parametrize("name", CATALOGUE)
def test_responses_to_other_prompts_are_never_learnt(name: str) -> None:
    logps = weighed(*STEP)
    (gradient,) = torch.autograd.grad(part(name)(logps).sum(), logps.tokens)
    assert logps.mismatched is not None
    strange = logps.mismatched[logps.response]
    assert gradient[strange].eq(0).all()
    assert gradient[~strange].ne(0).any()


@pytest.mark.parametrize("name", CATALOGUE)
def test_untrained_tokens_count_for_nothing(name: str) -> None:
    logps = weighed(*STEP)
    mask = torch.ones_like(logps.mask)
    mask[[1, 5, 14]] = False
    tokens = logps.tokens.detach().clone()
    tokens[~mask] = -7.0
    masked = replace(logps, mask=mask, tokens=tokens.requires_grad_())
    kept = {
        field: None if getattr(logps, field) is None else getattr(logps, field)[mask]
        for field in ("tokens", "response", "reference", "kl", "collision")
    }
    plain = replace(logps, mask=mask[mask], **kept)
    losses = part(name)(masked)
    torch.testing.assert_close(losses, part(name)(plain))
    (gradient,) = torch.autograd.grad(losses.sum(), masked.tokens)
    assert gradient[~mask].eq(0).all()


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "beta_dpo"])
def test_the_order_of_the_prompts_does_not_matter(name: str) -> None:
    """Beta-DPO draws pairs by their places."""
    first = part(name)(weighed(*STEP))
    backward = part(name)(weighed(*reversed(STEP)))
    torch.testing.assert_close(first.view(3, -1), backward.view(3, -1).flip(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CATALOGUE)
def test_log_ratios_of_ten_thousand_nats_stay_finite(name: str, dtype: torch.dtype) -> None:
    far = [(1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (-1e4, -1e4)]
    for ratios in far:
        logps = weighed(of_ratios(*ratios), of_ratios(1.0, -0.5), dtype=dtype)
        losses = part(name)(logps)
        (gradient,) = torch.autograd.grad(losses.sum(), logps.tokens)
        assert losses.isfinite().all(), (ratios, losses)
        assert gradient.isfinite().all(), (ratios, gradient)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "ld_dpo"])
def test_nothing_waits_for_the_device(name: str) -> None:
    """Tensors without data: whoever asks for a number gets an error.

    Beta-DPO may for its draw, and LD-DPO for the width of a table.
    """
    logps = weighed(*STEP)
    held = {field.name: getattr(logps, field.name) for field in fields(logps)}
    bare = LogProbs(**{key: value.to("meta") for key, value in held.items()})
    one = part(name, **({"dropped": 0.0} if name == "beta_dpo" else {}))
    state = one.next_state(bare, one.next_state(bare, {}))
    assert one(bare, state).shape == (UNITS[CATALOGUE[name].unit],)
    assert one.reward(bare).shape == (9,)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_step_down_the_gradient_moves_the_reward_to_the_winner(name: str) -> None:
    """The implicit reward of the winner gains on that of the loser: no sign is the wrong way."""
    logps = weighed(*(of_ratios(0.0, 0.0) for _ in range(3)))
    one = part(name, **({"dropped": 0.0} if name == "beta_dpo" else {}))
    before = one.reward(logps).detach()
    losses = one(logps)
    (gradient,) = torch.autograd.grad(losses.sum(), logps.tokens)
    rate = 1e-4 / gradient.abs().max()
    after = one.reward(moved(logps, -rate * gradient)).detach()
    gained = logps.difference(after - before)
    up = {"discopop": -1.0}  # published so: at the start its slope points down
    assert (gained * up.get(name, 1.0)).gt(0).all(), gained


def moved(logps: LogProbs, by: Tensor) -> LogProbs:
    return replace(logps, tokens=logps.tokens.detach() + by)
