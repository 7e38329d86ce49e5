"""Win rates in which a tie counts one half."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from preftune.records import Estimate


def outcomes(after: ArrayLike, before: ArrayLike) -> NDArray[np.float64]:
    """1 where `after` is greater, 0 where it is smaller, 0.5 where they are equal.

    >>> outcomes([0.9, 0.5, 0.1], [0.1, 0.5, 0.9]).tolist()
    [1.0, 0.5, 0.0]
    """
    first, second = np.asarray(after, np.float64), np.asarray(before, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"Paired values differ in number: {first.shape} and {second.shape}.")
    return (1 + np.sign(first - second)) / 2


def win_rate(outcomes: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean outcome with an interval that stays honest when every outcome is the same.

    The interval is Agresti and Coull's with ties: z²/2 wins and z²/2 losses are added before
    mean and variance are taken. Without ties it is theirs exactly; ties make it narrower, as
    they vary less. (The bootstrap would call ten wins out of ten certain.)

    Args:
        outcomes: One per prompt: 1 win, 0.5 tie, 0 loss; any value in [0, 1] will do, such as
            the share won over several judges. Shape (prompt,); at least one.
        confidence: Coverage of the interval, in (0, 1).

    Raises:
        ValueError: no outcomes, one outside [0, 1], or `confidence` out of range.

    References:
        Agresti and Coull 1998, "Approximate is better than exact", The American Statistician 52.

    Example:
        >>> str(win_rate([1, 1, 1, 0.5, 0]))
        '0.700 [0.312, 0.914]'
    """
    values = np.asarray(outcomes, np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"One outcome per prompt is needed, got an array of {values.shape}.")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("Each outcome must be in [0, 1]: 1 win, 0.5 tie, 0 loss.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}.")
    z = float(norm.ppf((1 + confidence) / 2))
    rate, number = float(values.mean()), len(values) + z**2
    centre = (float(values.sum()) + z**2 / 2) / number
    squares = float(np.sum((values - centre) ** 2))
    squares += z**2 / 2 * ((1 - centre) ** 2 + centre**2)
    reach = z * math.sqrt(squares) / number
    low, high = max(0.0, centre - reach), min(1.0, centre + reach)
    return Estimate(rate, min(low, rate), max(high, rate), len(values), confidence)
