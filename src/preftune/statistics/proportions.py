"""Intervals for shares."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from preftune.records import Estimate

ROUNDING = 1e-12
"""Of the largest variance that a share can have: less comes of rounding, and says nothing."""


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
    low, high = wilson(successes / trials, trials, z)
    return Estimate(successes / trials, low, high, trials, confidence)


def clustered_proportion(
    values: ArrayLike, clusters: ArrayLike, *, confidence: float = 0.95
) -> Estimate:
    """A share whose trials come in clusters, such as pairs that share a prompt.

    Wilson's interval for p with the effective number of trials p (1 - p) / V, where V is the
    cluster-robust variance of p, and Student's quantile for the number of clusters. Where all
    values are equal V says nothing, and each cluster counts as one trial.

    Args:
        values: Shape (trial,), each in [0, 1]: 1 success, 0 failure, 0.5 a tie.
        clusters: Shape (trial,): equal numbers belong together.
        confidence: Coverage of the interval, in (0, 1).

    Returns:
        The mean of the values; `n` is the number of clusters. With one cluster the interval is
        [0, 1]: nothing is known of how clusters differ.

    Raises:
        ValueError: no values, one outside [0, 1], or the lengths differ.

    References:
        Liang and Zeger 1986, Biometrika 73, 13 (the variance); Korn and Graubard 1998, Survey
        Methodology 24, 193 (the effective number).

    Example:
        >>> print(clustered_proportion([1, 1, 0, 1, 1, 1, 0, 1, 1, 1], range(10)))
        0.800 [0.427, 0.955]
    """
    given, labels = np.asarray(values, np.float64), np.asarray(clusters)
    if given.ndim != 1 or given.shape != labels.shape or not len(given):
        raise ValueError(f"One cluster per value is needed: {given.shape}, {labels.shape}.")
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("Each value must be in [0, 1].")
    _, numbers = np.unique(labels, return_inverse=True)
    count, share = int(numbers.max()) + 1, float(given.mean())
    if count == 1:
        return Estimate(share, 0.0, 1.0, 1, confidence)
    sums = np.bincount(numbers, given - share, count)
    variance = float(sums @ sums) / len(given) ** 2 * count / (count - 1)
    sizes = np.bincount(numbers)
    trials = len(given) ** 2 / float(sizes @ sizes)  # as if each cluster were one trial
    if variance > ROUNDING * share * (1 - share):
        trials = share * (1 - share) / variance
    low, high = wilson(share, trials, student(0.5 + confidence / 2, count - 1))
    return Estimate(share, low, high, count, confidence)


def wilson(share: float, trials: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of `trials`, which need not be whole; z is the quantile."""
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def student(probability: float, degrees: int) -> float:
    """The quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))
