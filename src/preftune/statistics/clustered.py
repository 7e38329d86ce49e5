"""The area under the curve with an interval that is honest when units come in clusters."""

import numpy as np
from numpy.typing import ArrayLike

from preftune.records import Estimate
from preftune.statistics.proportions import ROUNDING, student, wilson


def clustered_auc(
    values: ArrayLike, good: ArrayLike, clusters: ArrayLike, *, confidence: float = 0.95
) -> Estimate:
    """The probability that a good unit has a higher value than a bad one; ties count one half.

    The variance sums each cluster's placements (Obuchowski's), and the interval is
    Wilson's with the number of trials that it stands for.

    Args:
        values: Shape (unit,).
        good: Shape (unit,), booleans; both kinds are needed.
        clusters: Shape (unit,): equal numbers belong together.
        confidence: Coverage of the interval, in (0, 1).

    Returns:
        The area; `n` is the number of clusters.

    Raises:
        ValueError: the lengths differ, or one kind is missing.

    References:
        Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data", Biometrics 53.

    Example:
        >>> print(clustered_auc([1, 2, 3, 4], [False, False, True, True], range(4)))
        1.000 [0.165, 1.000]
    """
    given, up, labels = np.asarray(values, np.float64), np.asarray(good, bool), np.asarray(clusters)
    if given.ndim != 1 or given.shape != up.shape or given.shape != labels.shape:
        raise ValueError(f"The lengths differ: {given.shape}, {up.shape}, {labels.shape}.")
    ups, downs = np.sort(given[up]), np.sort(given[~up])
    if not len(ups) or not len(downs):
        raise ValueError("Both good and bad units are needed.")
    below = (np.searchsorted(downs, given, "left") + np.searchsorted(downs, given, "right")) / 2
    above = (np.searchsorted(ups, given, "left") + np.searchsorted(ups, given, "right")) / 2
    area = float(below[up].mean()) / len(downs)
    _, numbers = np.unique(labels, return_inverse=True)
    count = int(numbers.max()) + 1
    influence = np.where(
        up,
        (below / len(downs) - area) / len(ups),
        ((1 - above / len(ups)) - area) / len(downs),
    )
    if count == 1:
        return Estimate(area, 0.0, 1.0, 1, confidence)
    sums = np.bincount(numbers, influence, count)
    variance = float(sums @ sums) * count / (count - 1)
    trials = min(len(ups), len(downs), count)  # where the variance says nothing
    if variance > ROUNDING * area * (1 - area):
        trials = area * (1 - area) / variance
    low, high = wilson(area, trials, student(0.5 + confidence / 2, count - 1))
    return Estimate(area, low, high, count, confidence)
