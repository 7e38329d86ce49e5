"""What a setting of an objective may be. No torch: settings are checked before anything loads."""

from dataclasses import dataclass
from math import inf
from typing import Literal


@dataclass(frozen=True, slots=True)
class Interval:
    """The values that a number may take.

    >>> 0.5 in Interval(0.0, 0.5, "[)"), str(Interval(0.0, 0.5, "[)"))
    (False, '[0, 0.5)')
    """

    low: float
    high: float
    ends: Literal["()", "[)", "(]", "[]"]
    """Which ends belong to it: a square bracket does."""
    whole: bool = False
    """Only whole numbers."""

    def __contains__(self, value: float) -> bool:
        above = self.low <= value if self.ends[0] == "[" else self.low < value
        below = value <= self.high if self.ends[1] == "]" else value < self.high
        return above and below and not (self.whole and value % 1)

    def __str__(self) -> str:
        numbers = f"{self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"
        return f"the whole numbers of {numbers}" if self.whole else numbers

    def check(self, name: str, value: float) -> None:
        """Refuse a value outside.

        Raises:
            ValueError: `value` lies outside, or is not a number.
        """
        if value not in self:
            raise ValueError(f"{name} must be in {self}, got {value}.")


POSITIVE = Interval(0.0, inf, "()")
NOT_NEGATIVE = Interval(0.0, inf, "[)")
REAL = Interval(-inf, inf, "()")
SHARE = Interval(0.0, 1.0, "[]")
BETA = POSITIVE
LABEL_SMOOTHING = Interval(0.0, 0.5, "[)")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of an objective, as the catalogue declares it."""

    default: float
    interval: Interval
    """What is accepted."""
    summary: str
    """What it does, and which values are sensible."""


WHOLE = Interval(0.0, inf, "[)", whole=True)
SWITCH = Interval(0.0, 1.0, "[]", whole=True)
BELOW_ONE = Interval(0.0, 1.0, "[)")
NOISE = Interval(0.0, 0.5, "()")
"""A share of wrong labels that must not be 0."""
FRACTION = Interval(0.0, 1.0, "(]")
"""A share that must not be 0."""
ABOVE_ONE = Interval(1.0, inf, "()")
