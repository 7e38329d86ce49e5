"""Intervals for shares."""

import math
from statistics import NormalDist

from preftune.records import Estimate


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Estimate:
    """A share with Wilson's score interval, which stays inside [0, 1] for small counts.

    Args:
        successes: Number of successes, 0 to `trials`.
        trials: Number of independent trials, > 0.
        confidence: Coverage of the interval, in (0, 1).

    Raises:
        ValueError: the counts are impossible.

    References:
        Wilson 1927, J. Am. Stat. Assoc. 22, 209.

    Example:
        >>> print(proportion(8, 10))
        0.800 [0.490, 0.943]
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials are impossible.")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / scale
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half), trials, confidence)
