"""Bootstrap intervals: resample the independent units, which are prompts and never rows.

Every statistic here is a function of column means: a mean is the mean itself, a ratio the quotient
of two of them, a perplexity the exponential of such a quotient. That makes the resampling one
matrix product and the jackknife, which the correction of the interval needs, a closed form.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from preftune.records import Estimate

Floats = NDArray[np.float64]
_CELLS_AT_ONCE = 4_000_000  # 32 MB of resampling counts


def bootstrap_mean(
    values: ArrayLike, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Estimate:
    """The mean of one value per unit, with its BCa interval.

    Args:
        values: One per independent unit, shape (unit,); at least two.
        confidence: Coverage of the interval, in (0, 1).
        resamples: Number of bootstrap resamples.
        seed: Of the resampling; the same seed gives the same interval.

    Raises:
        ValueError: fewer than two values, values that are not finite, or `confidence` or
            `resamples` out of range.

    References:
        Efron 1987, "Better bootstrap confidence intervals", section 2.

    Example:
        >>> str(bootstrap_mean([1.0, 2.0, 3.0, 4.0]))
        '2.500 [1.500, 3.500]'
    """
    columns = np.asarray(values, np.float64)[..., None]
    return bootstrap_means(
        columns, lambda means: means[..., 0], confidence=confidence, resamples=resamples, seed=seed
    )


def paired_difference(
    after: ArrayLike,
    before: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Mean of after - before, where both were measured on the same units.

    Raises:
        ValueError: the lengths differ, or as `bootstrap_mean`.
    """
    first, second = np.asarray(after, np.float64), np.asarray(before, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"Paired values differ in number: {first.shape} and {second.shape}.")
    return bootstrap_mean(first - second, confidence=confidence, resamples=resamples, seed=seed)


def bootstrap_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Sum of numerators / sum of denominators, such as nats per token over texts of any length.

    Raises:
        ValueError: the lengths differ, a denominator is not positive, or as `bootstrap_mean`.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if above.shape != below.shape:
        raise ValueError(f"Paired values differ in number: {above.shape} and {below.shape}.")
    if (below <= 0).any():
        raise ValueError("Each denominator must be > 0.")
    return bootstrap_means(
        np.stack([above, below], -1),
        lambda means: means[..., 0] / means[..., 1],
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def bootstrap_means(
    columns: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    times: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Any smooth function of column means, with its BCa interval.

    Args:
        columns: Shape (unit, column): what was measured on each independent unit.
        statistic: Maps means of shape (..., column) to values of shape (...).
        times: How many units have the values of each row, whole numbers above 0, shape (row,):
            what many units share is then drawn at once. By default each row is one unit.

    Raises:
        ValueError: as `bootstrap_mean`, or a number of times is below 1.
    """
    data = np.asarray(columns, np.float64)
    often = np.ones(len(data), np.int64) if times is None else np.asarray(times, np.int64)
    _check(data, often, confidence, resamples)
    units = int(often.sum())
    random = np.random.default_rng(seed)
    total = often @ data
    value = float(statistic(total / units))
    means = (
        resampled_means(data, resamples, random)
        if times is None
        else random.multinomial(units, often / units, size=resamples) @ data / units
    )
    draws = np.sort(statistic(means))
    left_out = statistic((total - data) / (units - 1))
    low, high = _bca(draws, value, left_out, often, confidence)
    return Estimate(value, min(low, value), max(high, value), units, confidence)


def resampled_means(data: Floats, resamples: int, random: np.random.Generator) -> Floats:
    """Means of resamples, shape (resample, column): a unit counts as often as it was drawn."""
    units = len(data)
    parts: list[Floats] = []
    left = resamples
    while left > 0:
        size = min(left, max(1, _CELLS_AT_ONCE // units))
        drawn = random.integers(units, size=(size, units))
        drawn += np.arange(size)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        parts.append(counts @ data / units)
        left -= size
    return np.concatenate(parts)


def _bca(
    draws: Floats, value: float, left_out: Floats, often: NDArray[np.int64], confidence: float
) -> tuple[float, float]:
    """Percentiles of the sorted draws, corrected for bias and for skew (acceleration)."""
    rounding = 1e-9 * (draws[-1] - draws[0])  # equal means may differ in their last bits
    below = np.sum(draws < value - rounding) + np.sum(draws <= value + rounding)
    below = below / (2 * len(draws))
    bias = norm.ppf(np.clip(below, 1 / len(draws), 1 - 1 / len(draws)))
    influence = np.average(left_out, weights=often) - left_out
    largest = np.abs(influence).max()
    influence = influence / largest if largest > 0 else influence  # else tiny values underflow
    spread = float(often @ influence**2)
    acceleration = 0.0 if spread == 0 else float(often @ influence**3) / (6 * spread**1.5)
    ends = norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    shifted = bias + (bias + ends) / (1 - acceleration * (bias + ends))
    low, high = np.quantile(draws, norm.cdf(shifted))
    return float(low), float(high)


def _check(data: Floats, often: NDArray[np.int64], confidence: float, resamples: int) -> None:
    if data.ndim != 2:
        raise ValueError(f"One value per unit is needed, got an array of shape {data.shape[:-1]}.")
    if often.shape != data.shape[:1] or (often < 1).any():
        raise ValueError("Each row stands for one unit or more.")
    if often.sum() < 2:
        raise ValueError(f"An interval needs at least two units, got {often.sum()}.")
    if not np.isfinite(data).all():
        raise ValueError("The values must be finite.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}.")
    if resamples < 1:
        raise ValueError(f"resamples must be >= 1, got {resamples}.")
