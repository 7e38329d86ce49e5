"""How far the scores of responses are apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preftune.checks.finding import finding, percent
from preftune.records import Finding, Severity

SMALL = 0.1
"""A gap is small below this part of a large one (the gap that one in twenty exceeds)."""
_BINS = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """How large gaps are, the sign left out."""

    number: int
    quantiles: dict[str, float]
    """By per cent."""
    small: float
    """Below it a gap is small."""
    num_small: int
    """Small gaps, zero ones among them."""
    num_zero: int
    edges: list[float]
    counts: list[int]
    """Of the signed gaps; what lies beyond the edges is in the outer bins."""

    @classmethod
    def of(cls, gaps: NDArray[np.float64]) -> "Spread":
        """Of at least one gap."""
        sizes = np.abs(gaps)
        small = SMALL * float(np.quantile(sizes, 0.95))
        low, high = (float(np.quantile(gaps, level)) for level in (0.005, 0.995))
        low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
        edges = np.linspace(low, high, _BINS + 1)
        counts, _ = np.histogram(np.clip(gaps, low, high), edges)
        levels = (5, 25, 50, 75, 95)
        return cls(
            number=len(gaps),
            quantiles={
                str(level): float(value)
                for level, value in zip(levels, np.percentile(sizes, levels), strict=True)
            },
            small=small,
            num_small=int(((sizes < small) | (sizes == 0)).sum()),
            num_zero=int((sizes == 0).sum()),
            edges=edges.tolist(),
            counts=counts.tolist(),
        )

    def figure(self) -> dict[str, object]:
        """For a plot, as JSON."""
        return {
            "number": self.number,
            "edges": self.edges,
            "counts": self.counts,
            "quantiles": self.quantiles,
            "small": self.small,
            "share_small": self.num_small / self.number,
            "share_zero": self.num_zero / self.number,
        }


def finding_of(spread: Spread, *, lists: bool) -> Finding:
    """PC608, for the gaps of lists or of pairs."""
    what = "the best and the worst response" if lists else "chosen and rejected"
    zero, small = (percent(count / spread.number) for count in (spread.num_zero, spread.num_small))
    fix = "" if lists else (
        "leave pairs with small gaps out, or use an objective that asks for more where the judged "
        "margin is larger (`preftune objectives ls`)."
    )  # fmt: skip
    return finding(
        "PC608",
        Severity.info,
        f"the scores of {what} differ by {spread.quantiles['50']:.3g} in the middle "
        f"({spread.quantiles['5']:.3g} to {spread.quantiles['95']:.3g} in nine of ten); {zero} are "
        f"equal, {small} less than {spread.small:.2g} apart.",
        spread.num_small,
        spread.number,
        unit="prompts" if lists else "pairs",
        fix=fix,
    )
