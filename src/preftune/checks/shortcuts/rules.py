"""How far a trivial rule, such as "the longer response wins", predicts the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preftune.records import Estimate
from preftune.statistics.clustered import clustered_auc
from preftune.statistics.proportions import clustered_proportion

Numbers = NDArray[np.floating] | NDArray[np.integer]
Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule was seen to do."""

    rule: str
    """Such as `more list items`; of the two directions the one that is right more often."""
    decides: int
    """Pairs whose sides differ in what the rule looks at."""
    pairs: int
    right: int
    """Of those that it decides."""
    accuracy: Estimate
    """Share of right ones among the decided pairs."""
    explained: Estimate
    """Share of all labels that follow: those decided rightly and half of the undecided ones."""

    @property
    def as_json(self) -> dict[str, object]:
        """A bar of the plot."""
        return {
            "rule": self.rule,
            "decides": self.decides / self.pairs,
            "accuracy": self.accuracy.value,
            "low": self.accuracy.low,
            "high": self.accuracy.high,
            "explained": self.explained.value,
        }


def measure(names: tuple[str, str], sides: Numbers, prompts: Ints) -> Measured | None:
    """How a rule fares on pairs.

    Args:
        names: What the rule is called where more wins, and where less wins.
        sides: Shape (pair,): what the rule looks at, chosen minus rejected; 0 where both are equal.
        prompts: Shape (pair,): pairs of one prompt are no independent witnesses.

    Returns:
        None where it decides nothing.
    """
    signs = np.sign(sides)
    decided = signs != 0
    decides = int(decided.sum())
    if not decides:
        return None
    name = names[0]
    if signs.sum() < 0:
        signs, name = -signs, names[1]
    return Measured(
        rule=name,
        decides=decides,
        pairs=len(signs),
        right=int((signs > 0).sum()),
        accuracy=clustered_proportion(signs[decided] > 0, prompts[decided]),
        explained=clustered_proportion((signs + 1) / 2, prompts),
    )


def measure_thumbs(
    names: tuple[str, str], values: Numbers, good: NDArray[np.bool_], prompts: Ints
) -> Measured | None:
    """How a rule fares on good and bad responses: every good one against every bad one.

    Args:
        names: What the rule is called where more is good, and where less is.
        values: Shape (response,): what the rule looks at.
        good: Shape (response,): thumbs up.
        prompts: Shape (response,).

    Returns:
        None where there are no two sides, or all values are equal. Its pairs are all pairs of a
        good and a bad response; accuracy and explained share are both the area under the curve.
    """
    ups, downs = int(good.sum()), int((~good).sum())
    if not ups or not downs or values.min() == values.max():
        return None
    area = clustered_auc(values, good, prompts)
    name = names[0]
    if area.value < 0.5:
        name = names[1]
        area = clustered_auc(-values, good, prompts)
    tied = _equal_pairs(values, good)
    decides = ups * downs - tied
    right = round(area.value * ups * downs - tied / 2)
    return Measured(name, decides, ups * downs, right, area, area)


def _equal_pairs(values: Numbers, good: NDArray[np.bool_]) -> int:
    """Pairs of a good and a bad response with equal values."""
    _, numbers = np.unique(values, return_inverse=True)
    size = int(numbers.max()) + 1
    ups, downs = (np.bincount(numbers[side], minlength=size) for side in (good, ~good))
    return int(ups @ downs)


def best_first(rules: Sequence[Measured]) -> list[Measured]:
    """Sorted by what they explain."""
    return sorted(rules, key=lambda one: (-one.explained.value, one.rule))
