"""Which run to take, and how sure that is. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preftune.records import Estimate
from preftune.statistics import bootstrap_mean, bootstrap_ratio, chosen_elsewhere, simultaneous

if TYPE_CHECKING:
    from preftune.sweeps.held_out import HeldOut

Floats = NDArray[np.float64]

FEWEST_PROMPTS = 20
"""Held-out prompts without which nothing is recommended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one setting did to the held-out pairs, over its seeds; each with its own interval."""

    accuracy: Estimate
    """Share of pairs whose chosen response has the larger implicit reward."""
    accuracy_start: Estimate
    """The same of the start."""
    reward_margin: Estimate
    """Implicit reward of chosen - of rejected."""
    margin: Estimate
    """The same in nats of log-ratios, whatever the objective compares."""
    displacement: Estimate
    """Share of pairs whose chosen response became less likely."""
    kl: Estimate | None
    """Nats a response from the start, by sampling; none: not measured."""
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The best setting by held-out accuracy, and what can't be told apart from it."""

    best: str
    accuracy: Estimate
    """On the pairs that all settings held out."""
    elsewhere: Estimate | None
    """The accuracy of the best without the luck of being it; none where nothing was chosen."""
    alike: dict[str, Estimate]
    """Setting → accuracy of the best - its own, where that interval holds 0."""
    better_than_start: list[str]
    """Settings whose accuracy is above their start's, beyond the interval."""
    take: str | None
    """The one with the smallest KL among the best and its like; none: keep the start."""
    differences: int
    """How many intervals hold at once."""
    pairs: int
    prompts: int


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Sums of one value over the pairs that all settings held out, by prompt."""

    sums: Floats
    """(prompt, column)."""
    counts: Floats
    """(prompt,) pairs."""


def figures_of(repetitions: Sequence["HeldOut"]) -> Figures:
    """The figures of one setting from its runs, one for each seed; prompts are resampled."""
    prompts = [prompt for one in repetitions for prompt in one.prompts]
    _, unit = np.unique(prompts, return_inverse=True)
    counts = np.bincount(unit).astype(np.float64)

    def mean(name: str) -> Estimate:
        values = np.array([value for one in repetitions for value in one.values[name]])
        return bootstrap_ratio(np.bincount(unit, values), counts)

    return Figures(
        accuracy=mean("accuracy"),
        accuracy_start=mean("accuracy_start"),
        reward_margin=mean("reward_margin"),
        margin=mean("margin"),
        displacement=mean("displacement"),
        kl=_kl(repetitions),
        pairs=len(prompts),
    )


def _kl(repetitions: Sequence["HeldOut"]) -> Estimate | None:
    _, unit = np.unique([one for run in repetitions for one in run.kl_prompts], return_inverse=True)
    if unit.size == 0 or unit.max() == 0:
        return None
    values = np.array([one for run in repetitions for one in run.kl])
    return bootstrap_mean(np.bincount(unit, values) / np.bincount(unit))


def choose(
    settings: Mapping[str, Sequence["HeldOut"]], kl: Mapping[str, Estimate | None]
) -> Choice | None:
    """The setting to take, by accuracy on the pairs that all of them held out.

    The intervals of all differences between settings, and of each setting from its start, hold at
    once (max-t over prompts), so that a difference is not found because there are many.

    Args:
        settings: Name → its finished runs, one for each seed.
        kl: Name → its KL, where it was measured.

    Returns:
        The choice; none where the settings have fewer than `FEWEST_PROMPTS` held-out prompts in
        common.
    """
    names = list(settings)
    table = _table([settings[name] for name in names])
    if len(table.counts) < FEWEST_PROMPTS:
        return None
    number = len(names)
    family = _family(number)
    found = simultaneous(table.sums, table.counts, family, reach=1).estimates
    level = table.sums.sum(0)[:number]
    # Ties by the smaller KL, then by the grid's order.
    order = sorted(range(number), key=lambda at: (-level[at], _value(kl.get(names[at]))))
    best = order[0]
    better = [names[at] for at in range(number) if found[at].low > 0]
    differences = dict(zip(_places(number), found[number:], strict=True))
    alike = {
        names[at]: _difference(differences, best, at)
        for at in order[1:]
        if _difference(differences, best, at).low <= 0
    }
    good = [name for name in (names[best], *alike) if name in better]
    counts = table.counts
    return Choice(
        best=names[best],
        accuracy=bootstrap_ratio(table.sums[:, best], counts),
        elsewhere=chosen_elsewhere(table.sums[:, :number], counts) if number > 1 else None,
        alike=alike,
        better_than_start=better,
        take=min(good, key=lambda name: _value(kl.get(name)), default=None),
        differences=len(family),
        pairs=int(counts.sum()),
        prompts=len(counts),
    )


def _value(estimate: Estimate | None) -> float:
    return float("inf") if estimate is None else estimate.value


def _places(number: int) -> list[tuple[int, int]]:
    return [(first, second) for first in range(number) for second in range(first)]


def _family(number: int) -> Floats:
    """(contrast, column): each setting from its start, then every setting from every other."""
    own = np.eye(number, 2 * number) - np.eye(number, 2 * number, number)
    unit = np.eye(number, 2 * number)
    pairs = [unit[first] - unit[second] for first, second in _places(number)]
    return np.concatenate([own, np.reshape(pairs, (-1, 2 * number))])


def _difference(found: Mapping[tuple[int, int], Estimate], first: int, second: int) -> Estimate:
    """Accuracy of `first` - of `second`, whichever way round it was computed."""
    if first > second:
        return found[first, second]
    one = found[second, first]
    return Estimate(-one.value, -one.high, -one.low, one.n, one.confidence)


def _table(settings: Sequence[Sequence["HeldOut"]]) -> _Table:
    """Columns: accuracy of each setting, then of each setting's start."""
    rows = [{key: place for one in runs for key, place in _places_of(one)} for runs in settings]
    common = sorted(reduce(lambda first, second: first & second, (row.keys() for row in rows)))
    if not common:
        return _Table(np.zeros((0, 2 * len(rows))), np.zeros(0))
    prompt_of = {
        key: prompt
        for one in settings[0]
        for key, prompt in zip(one.pairs, one.prompts, strict=True)
    }
    _, unit = np.unique([prompt_of[key] for key in common], return_inverse=True)
    columns = [
        np.bincount(unit, np.array([row[key][side] for key in common])).astype(np.float64)
        for side in (0, 1)
        for row in rows
    ]
    return _Table(np.stack(columns, 1), np.bincount(unit).astype(np.float64))


def _places_of(one: "HeldOut") -> list[tuple[str, tuple[float, float]]]:
    """Pair → whether it is right, after and before."""
    after, before = one.values["accuracy"], one.values["accuracy_start"]
    return list(zip(one.pairs, zip(after, before, strict=True), strict=True))
