"""Shares among the chosen and among the rejected responses, and how sure they are."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preftune.checks.finding import percent
from preftune.checks.rows.tally import share_of
from preftune.records import Estimate

CHOSEN, REJECTED, NEITHER = 0, 1, 2
_FEWEST = 10
"""Prompts below which nobody can say how they differ."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of chosen and of rejected responses, as sure as their prompts make them."""

    prompts: NDArray[np.uint32]
    sides: NDArray[np.uint8]

    def share(self, found: NDArray[np.bool_]) -> Estimate:
        """Of the chosen ones, where there are any; else of all."""
        chosen = self.sides == CHOSEN
        of = chosen if chosen.any() else np.ones_like(chosen)
        units = len(np.unique(self.prompts[of]))
        return share_of(int(found[of].sum()), int(of.sum()), units)

    def counts(self, found: NDArray[np.bool_]) -> dict[str, int]:
        """How many of each side."""
        names = ("chosen", "rejected", "neither")
        return {name: int(found[self.sides == side].sum()) for side, name in enumerate(names)}

    def told(self, found: NDArray[np.bool_]) -> str:
        """`: 3.1 % of the chosen, 2.0 % of the rejected`, where there are both."""
        both = [found[self.sides == side] for side in (CHOSEN, REJECTED)]
        if not all(len(one) for one in both):
            return ""
        chosen, rejected = (percent(float(one.mean())) for one in both)
        return f": {chosen} of the chosen, {rejected} of the rejected"

    def difference(self, found: NDArray[np.bool_]) -> Estimate:
        """Share of the chosen less share of the rejected, its interval clustered by prompt."""
        count = int(self.prompts.max()) + 1
        influence, value = np.zeros(count), 0.0
        for side, sign in ((CHOSEN, 1.0), (REJECTED, -1.0)):
            of = self.sides == side
            if not of.any():
                return Estimate(0.0, -1.0, 1.0, 0)
            share, number = float(found[of].mean()), int(of.sum())
            value += sign * share
            spread = np.bincount(self.prompts[of], found[of] - share, count)
            influence += sign * spread / number
        units = len(np.unique(self.prompts))
        if units < _FEWEST:
            return Estimate(value, -1.0, 1.0, units)
        # Where all are alike the variance is 0; then 3/n is as far as they may be wrong.
        reach = max(3 / units, 1.96 * math.sqrt(float(np.sum(influence**2))))
        return Estimate(value, value - reach, value + reach, units)
