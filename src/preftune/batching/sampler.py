"""Which groups an optimiser step sees, and how they are cut into micro-batches.

The order depends only on the seed, the epoch and the number of groups, so a run resumes from its
step number alone, whatever the token budget.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WINDOW = 256
"""Groups that are cut into micro-batches together."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """An endless stream of shuffled epochs, cut into optimiser steps.

    Steps run on over the end of an epoch, so that every step but the last is full.
    """

    num_groups: int
    groups_per_step: int
    epochs: float
    seed: int
    max_steps: int | None = None
    """Overrides `epochs` when given."""

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the run."""
        if self.max_steps is not None:
            return self.max_steps
        return math.ceil(self._total / self.groups_per_step)

    def step(self, number: int) -> list[int]:
        """Indices of the groups of optimiser step `number`, counted from 0."""
        start = number * self.groups_per_step
        stop = start + self.groups_per_step
        if self.max_steps is None:
            stop = min(stop, self._total)
        return [self._at(place) for place in range(start, stop)]

    def visited(self) -> set[int]:
        """Every group that some step of the run sees: all, unless it is shorter than an epoch."""
        places = min(self.num_groups, self.num_steps * self.groups_per_step)
        return {self._at(place) for place in range(places)}

    @property
    def _total(self) -> int:
        return max(1, round(self.num_groups * self.epochs))

    def _at(self, place: int) -> int:
        epoch, within = divmod(place, self.num_groups)
        return int(_permutation(self.num_groups, self.seed, epoch)[within])


@lru_cache(maxsize=2)  # a step touches at most two epochs, unless the data is tiny
def _permutation(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)


def fill(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut groups into micro-batches of at most `budget` tokens: first fit, longest first.

    A group longer than the budget gets a micro-batch of its own. Returns positions in `lengths`.
    Like lengths end up together, which also serves the padded fallback.

    >>> fill([3, 9, 4, 2], budget=10)
    [[1], [2, 0, 3]]
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    room: list[int] = []
    for index in order:
        for place, free in enumerate(room):
            if lengths[index] <= free:
                batches[place].append(index)
                room[place] -= lengths[index]
                break
        else:
            batches.append([index])
            room.append(budget - lengths[index])
    return batches


def fill_windows(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """`fill` for any number of groups: `WINDOW` at a time, in their order.

    The cost stays linear in the data, and the time left can be foreseen.
    """
    return [
        [start + place for place in batch]
        for start in range(0, len(lengths), WINDOW)
        for batch in fill(lengths[start : start + WINDOW], budget)
    ]
