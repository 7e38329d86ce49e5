"""A number with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its confidence interval and the number of independent units behind it."""

    value: float
    low: float
    high: float
    n: int
    """Independent units: prompts, never rows."""
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
