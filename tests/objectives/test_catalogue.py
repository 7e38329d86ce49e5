"""What the objectives declare of themselves is what their functions do."""

import inspect
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pkgutil import resolve_name

import pytest
import torch
from torch import Tensor

from preftune import objectives
from preftune.objectives import CATALOGUE
from preftune.objectives.bound import Part
from preftune.objectives.declaration import Objective
from preftune.objectives.logprobs import LogProbs
from preftune.objectives.settings import Setting
from tests.objectives.groups import with_everything
from tests.objectives.pairs import FIXTURES, Pair, record

every = pytest.mark.parametrize("objective", CATALOGUE.values(), ids=CATALOGUE)
FAMILY = {"dpo", "ipo_sum", "dpo_norm", "odpo", "davidson", "simpo", "kto", "plackett_luce", "sft"}


def part(objective: Objective, **changed: float) -> Part:
    defaults = {key: setting.default for key, setting in objective.settings.items()}
    return Part(objective, defaults | changed)


def batch(dtype: torch.dtype = torch.float64) -> LogProbs:
    return with_everything(
        FIXTURES["good"], FIXTURES["wrong"], Pair(-3, -2, -2.5, -2.1), dtype=dtype
    )


def keywords(objective: Objective) -> tuple[dict[str, object], set[str]]:
    """The settings of the function with their defaults, and its running arguments."""
    logps, *rest = inspect.signature(resolve_name(objective.loss)).parameters.values()
    assert logps.name == "logps"
    assert all(one.kind is one.KEYWORD_ONLY for one in rest)
    settings = {one.name: one.default for one in rest if one.default is not None}
    return settings, {one.name for one in rest if one.default is None}


def test_all_families_are_in_it() -> None:
    assert CATALOGUE.keys() >= FAMILY
    assert all(name == objective.name for name, objective in CATALOGUE.items())


@every
def test_settings_are_the_arguments_of_the_function(objective: Objective) -> None:
    settings, running = keywords(objective)
    assert settings == {key: setting.default for key, setting in objective.settings.items()}
    assert running or not objective.running
    assert resolve_name(objective.loss).__name__ == objective.name


@every
def test_the_function_is_found_by_its_name(objective: Objective) -> None:
    assert getattr(objectives, objective.name) is resolve_name(objective.loss)
    assert objective.name in dir(objectives)


@every
def test_every_field_says_something(objective: Objective) -> None:
    words = (
        objective.summary,
        objective.formula,
        objective.rewards,
        objective.at_start,
        objective.when,
        objective.when_not,
        objective.paper,
        *objective.pitfalls,
        *(setting.summary for setting in objective.settings.values()),
    )
    assert all(text == text.strip() and text for text in words)
    assert objective.pitfalls
    assert all(text.endswith(".") for text in (objective.when, objective.when_not))
    assert all(text.endswith(".") for text in objective.pitfalls)
    assert "arXiv:" in objective.paper
    low, high = objective.learning_rate_range
    assert 0 < low <= objective.learning_rate <= high


@every
def test_defaults_are_allowed(objective: Objective) -> None:
    assert all(setting.default in setting.interval for setting in objective.settings.values())


def outside(setting: Setting) -> Iterator[float]:
    """Values about the ends of what a setting accepts that it does not."""
    ends = (setting.interval.low, setting.interval.high)
    near = [*ends, ends[0] - 0.5, ends[1] + 0.5, setting.default + 0.25, math.nan]
    return (value for value in near if value not in setting.interval)


@every
def test_the_function_refuses_what_the_declaration_does(objective: Objective) -> None:
    """Before it looks at the record."""
    nothing = replace(record(Pair(-1, -2, -1, -2)), reference=None)
    for key, setting in objective.settings.items():
        values = list(outside(setting))
        assert values
        for value in values:
            with pytest.raises(ValueError, match=f"{key} must be in"):
                resolve_name(objective.loss)(nothing, **{key: value})


def check_loss(objective: Objective, loss: Tensor, logps: LogProbs) -> None:
    """One finite value for each unit, in the record's dtype, with a finite gradient."""
    units = {"relation": logps.winner, "response": logps.group, "group": logps.members}
    assert loss.shape == (len(units[objective.unit]),)
    assert loss.dtype == logps.tokens.dtype
    assert loss.isfinite().all(), loss
    (gradient,) = torch.autograd.grad(loss.sum(), logps.tokens)
    assert gradient.isfinite().all()
    assert (gradient != 0).any()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_its_defaults_it_computes(objective: Objective, dtype: torch.dtype) -> None:
    logps = batch(dtype)
    check_loss(objective, part(objective)(logps), logps)


@every
def test_at_the_ends_of_what_is_allowed_it_computes(objective: Objective) -> None:
    for key, setting in objective.settings.items():
        for value in (setting.interval.low, setting.interval.high):
            if value in setting.interval:
                logps = batch()
                check_loss(objective, part(objective, **{key: value})(logps), logps)


@every
def test_the_reward_is_one_value_for_each_response(objective: Objective) -> None:
    logps = batch()
    reward = part(objective).reward(logps)
    assert reward.shape == logps.group.shape
    assert reward.isfinite().all()
    assert (reward[logps.winner] != reward[logps.loser]).all()


@every
def test_the_state_holds_the_running_arguments(objective: Objective) -> None:
    _, running = keywords(objective)
    logps, state = batch(), {}
    for _ in range(2):
        state = part(objective).next_state(logps, state)
        assert state.keys() == (running if objective.running else set())
        assert all(value.isfinite().all() for value in state.values())
        assert not any(value.requires_grad for value in state.values())
        check_loss(objective, part(objective)(logps, state), logps)


# What it needs of the record


def without(logps: LogProbs, *names: str) -> LogProbs:
    missing: Mapping[str, None] = dict.fromkeys(names)
    return replace(logps, **missing)


@every
def test_it_needs_a_reference_if_it_says_so(objective: Objective) -> None:
    logps = without(batch(), "reference", "kl")
    if objective.reference == "none":
        check_loss(objective, part(objective)(logps), logps)
        assert part(objective).reward(logps).isfinite().all()
    else:
        with pytest.raises(ValueError, match=r"no reference|KL|`kl`"):
            part(objective)(logps)


@every
def test_it_needs_margins_if_it_says_so(objective: Objective) -> None:
    logps = without(batch(), "margin")
    if objective.margins == "no":
        check_loss(objective, part(objective)(logps), logps)
    else:
        with pytest.raises(ValueError, match="margin"):
            part(objective)(logps)


@every
def test_a_margin_that_is_not_positive_is_learnt_from_if_it_says_so(objective: Objective) -> None:
    logps = batch()
    assert logps.margin is not None
    loss = part(objective)(replace(logps, margin=-logps.margin))
    assert loss.isnan().all() if objective.margins == "positive" else loss.isfinite().all()


@every
def test_it_needs_the_vocabulary_if_it_says_so(objective: Objective) -> None:
    logps = without(batch(), "kl", "collision")
    if not objective.vocabulary:
        check_loss(objective, part(objective)(logps), logps)
    for name in objective.vocabulary:
        with pytest.raises(ValueError, match=name):
            part(objective)(without(batch(), name))


@every
def test_it_learns_from_doubt_if_it_says_so(objective: Objective) -> None:
    """p L(judgement) + (1 - p) L(the other one); else strengths are not read at all."""
    logps = batch()
    loss = part(objective)
    p = torch.tensor([0.9, 0.7, 0.6], dtype=torch.float64)
    doubtful = loss(replace(logps, strength=p))
    if objective.unit != "relation" or objective.scope == "step":
        return  # each of these has a test of its own
    expected = p * loss(logps) + (1 - p) * loss(logps.swapped()) if objective.soft else loss(logps)
    torch.testing.assert_close(doubtful, expected, rtol=1e-9, atol=1e-9)


@every
def test_the_function_leaves_weights_to_the_part(objective: Objective) -> None:
    if objective.scope == "step":
        return  # statistics over the step may be weighted
    logps = batch()
    weights = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    weighted = replace(logps, weight=weights, group_weight=weights)
    plain = part(objective)(logps)
    torch.testing.assert_close(
        resolve_name(objective.loss)(weighted, **part(objective).settings), plain
    )
    counts = weights.repeat_interleave(3) if objective.unit == "response" else weights
    torch.testing.assert_close(part(objective)(weighted), counts * plain)


def test_reading_the_catalogue_and_checking_an_objective_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from preftune.objectives.binding import bind, bind_mixture\n"
        "bind('dpo', {'beta': 0.2})\n"
        "bind_mixture([{'name': 'ipo_mean'}, {'name': 'sft', 'weight': 0.5}])\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
