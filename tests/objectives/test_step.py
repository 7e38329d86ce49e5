"""AOT: losses of a whole step's pairs, sorted."""

from dataclasses import replace
from functools import partial
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.step import aot, aot_unpaired
from tests.objectives.groups import few
from tests.objectives.pairs import (
    FIXTURES,
    Pair,
    betas,
    check_central_difference,
    check_finite,
    check_golden,
    close,
    gradients,
    of_ratios,
    record,
    sure_pairs,
)

DTYPES = [torch.float32, torch.float64]
LOSSES = {"aot": aot, "aot_unpaired": aot_unpaired}
steps = st.lists(sure_pairs, min_size=1, max_size=5)
noises = st.floats(0.0, 0.49)
DPO_GOLDEN = {
    "start": (0.69314718, -0.05, 0.05),
    "good": (0.40318605, -0.0331812, 0.0331812),
    "displaced": (0.40318605, -0.0331812, 0.0331812),
    "wrong": (0.85435524, -0.0574443, 0.0574443),
}


def test_worked() -> None:
    step = record(*(of_ratios(*pair) for pair in ((2.0, -1.0), (-1.0, 0.0), (0.5, -3.0))))
    close(aot_unpaired(step, beta=0.1).mean().item(), 0.605745, 1e-6)
    close(dpo(step, beta=0.1).mean().item(), 0.610711, 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("name", LOSSES)
def test_a_single_pair_is_dpo(name: str, fixture: str, dtype: torch.dtype) -> None:
    check_golden(
        partial(LOSSES[name], beta=0.1), record(FIXTURES[fixture], dtype=dtype), DPO_GOLDEN[fixture]
    )


@pytest.mark.parametrize("name", LOSSES)
@few
@given(pair=sure_pairs, beta=betas, noise=noises)
def test_a_single_pair_is_smoothed_dpo(name: str, pair: Pair, beta: float, noise: float) -> None:
    logps = record(pair)
    torch.testing.assert_close(
        LOSSES[name](logps, beta=beta, label_smoothing=noise),
        dpo(logps, beta=beta, label_smoothing=noise),
    )


@few
@given(steps, betas, noises)
def test_values_are_those_of_the_sorted_sides(step: list[Pair], beta: float, noise: float) -> None:
    logps = record(*step)
    sums, reference = logps.sums.detach(), logps.reference_sums
    sides = {
        "aot": (logps.difference(sums), logps.difference(reference)),
        "aot_unpaired": (logps.log_ratios[logps.winner], logps.log_ratios[logps.loser]),
    }
    for name, loss in LOSSES.items():
        above, below = sides[name]
        z = beta * (above.sort().values - below.sort().values).detach()
        expected = -(1 - noise) * logsigmoid(z) - noise * logsigmoid(-z)
        found = loss(logps, beta=beta, label_smoothing=noise)
        torch.testing.assert_close(found.sort().values, expected.sort().values)


@few
@given(steps, betas)
def test_sorted_it_is_never_above_dpo(step: list[Pair], beta: float) -> None:
    """Sorting minimises the mean of a convex function of the differences."""
    logps = record(*step)
    plain = dpo(logps, beta=beta).sum().item()
    for loss in LOSSES.values():
        assert loss(logps, beta=beta).sum().item() <= plain * (1 + 1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_step_does_not_matter(name: str) -> None:
    step = [FIXTURES["good"], FIXTURES["wrong"], FIXTURES["displaced"], Pair(-9, -7, -11, -6)]
    first = LOSSES[name](record(*step), beta=0.1)
    for order in permutations(range(4)):
        other = LOSSES[name](record(*(step[index] for index in order)), beta=0.1)
        torch.testing.assert_close(other, first[list(order)])


def test_unpaired_does_not_know_what_stood_beside_what() -> None:
    step = [FIXTURES["good"], FIXTURES["wrong"], FIXTURES["displaced"]]
    logps = record(*step)
    moved = replace(logps, loser=logps.loser[torch.tensor([2, 0, 1])])
    torch.testing.assert_close(aot_unpaired(moved), aot_unpaired(logps), rtol=0, atol=0)
    assert not torch.equal(dpo(moved), dpo(logps))


def test_every_pair_has_a_slope_of_its_own_sign() -> None:
    logps = record(FIXTURES["good"], FIXTURES["wrong"], FIXTURES["displaced"])
    for loss in LOSSES.values():
        chosen, rejected = gradients(loss(logps), logps)
        assert max(chosen) < 0 < min(rejected)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(5))
def test_gradient_is_the_central_difference(name: str, seed: int) -> None:
    numbers = 40 * torch.rand(4, 4, generator=torch.Generator().manual_seed(seed))
    step = [Pair(*(-row).tolist()) for row in numbers]
    check_central_difference(partial(LOSSES[name], beta=0.1, label_smoothing=0.1), record(*step))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_log_ratios_stay_finite(name: str, dtype: torch.dtype) -> None:
    step = [of_ratios(1e4, -1e4), of_ratios(-1e4, 1e4), of_ratios(0.0, 0.0)]
    check_finite(LOSSES[name], record(*step, dtype=dtype))
    with pytest.raises(ValueError, match="carry no reference"):
        LOSSES[name](replace(record(*step), reference=None))
