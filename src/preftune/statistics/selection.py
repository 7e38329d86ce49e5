"""The best of several options measured on the same units: how sure that is, and how good it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from scipy.stats import t as student

from preftune.records import Estimate
from preftune.statistics.bootstrap import resampled_means

Floats = NDArray[np.float64]
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Differences with intervals that all hold at once."""

    estimates: list[Estimate]
    critical: float
    """Half the width of each interval in standard errors: 1.96 for a single one, more for many."""


def simultaneous(
    sums: ArrayLike,
    counts: ArrayLike,
    contrasts: ArrayLike,
    *,
    reach: float,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Contrasts:
    """Contrasts of ratios of sums, with intervals that all cover at once (bootstrap max-t).

    Contrast k is c_k = sum_j C_kj r_j of the ratios r_j = sum_i sums_ij / sum_i counts_i. With
    t* = max_k |c*_k - c_k| / sd_k over resamples of the units, and q the `confidence` quantile of
    t*, the intervals are c'_k ± q' se_k: q' leaves as much in the tails of Student's t with n - 1
    degrees of freedom as q does in the normal's, and c'_k and se_k are the mean of the units and
    its standard error, two units more being made up, one at `reach` and one at -`reach`. So a few
    units that agree by chance prove nothing, and with hundreds that changes nothing. A difference
    that was picked because it is the largest is covered, too, if all that could have been picked
    are among the contrasts.

    Args:
        sums: What each unit adds to each option, shape (unit, option).
        counts: How much each unit counts, > 0, shape (unit,).
        contrasts: Weights of the options, shape (contrast, option).
        reach: The largest absolute value that a contrast can have on one unit, > 0: 1 for shares
            and their differences.
        confidence: Chance that all intervals cover, in (0, 1).
        resamples: Number of bootstrap resamples.
        seed: Of the resampling.

    Raises:
        ValueError: fewer than two units, values that are not finite, shapes that do not fit.

    References:
        Romano and Wolf 2005, "Exact and approximate stepdown methods for multiple hypothesis
        testing", section 4 (the single-step case). Hsu 1984 on comparisons with the best. Agresti
        and Min 2005, "Simple improved confidence intervals for comparing matched proportions", for
        the two made-up units.

    Example:
        >>> right = [[1, 0], [1, 0], [1, 1], [0, 0], [1, 0], [1, 1]]
        >>> found = simultaneous(right, [1] * 6, [[1, -1]], reach=1)
        >>> round(found.estimates[0].value, 3), found.critical > 2
        (0.5, True)
    """
    values, often, weights = _checked(sums, counts, contrasts)
    columns = np.concatenate([values, often[:, None]], 1)
    means = resampled_means(columns, resamples, np.random.default_rng(seed))
    ratios = means[:, :-1] / means[:, -1:]
    observed = weights @ (values.sum(0) / often.sum())
    largest = np.zeros(resamples)
    for place, weight in enumerate(weights):
        drawn = ratios @ weight
        spread = drawn.std()
        if spread > 1e-12:  # else no unit has a say in how wide the others are
            largest = np.maximum(largest, np.abs(drawn - observed[place]) / spread)
    normal = max(float(np.quantile(largest, confidence)), float(norm.isf((1 - confidence) / 2)))
    critical = float(student.isf(norm.sf(normal), len(values) - 1))
    centres, errors = _steadied(values @ weights.T, often, observed, reach)
    estimates = [
        Estimate(float(value), float(centre - critical * error), float(centre + critical * error),
                 len(values), confidence)
        for value, centre, error in zip(observed, centres, errors, strict=True)
    ]  # fmt: skip
    return Contrasts(estimates, critical)


def _steadied(
    sums: Floats, counts: Floats, observed: Floats, reach: float
) -> tuple[Floats, Floats]:
    """Means and their standard errors, (contrast,), with a unit at `reach` and one at -`reach`."""
    number = len(counts) + 2
    centres = observed * len(counts) / number
    # A ratio moves as the mean of these does: the delta method.
    units = (sums - np.outer(counts, observed)) / counts.mean() + observed
    squares = ((units - centres) ** 2).sum(0) + (reach - centres) ** 2 + (reach + centres) ** 2
    return centres, np.sqrt(squares / (number * (number - 1)))


def chosen_elsewhere(
    sums: ArrayLike,
    counts: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> Estimate:
    """What the best option is worth when it is chosen on some units and measured on others.

    The highest of several ratios is too high: it was chosen for its luck, too. In each resample
    the option that is best on the units drawn is measured on those that were not; the mean over
    resamples is the value, their percentiles the interval.

    Args:
        sums: As of `simultaneous`.
        counts: As of `simultaneous`.
        confidence: Coverage of the interval, in (0, 1).
        resamples: Number of bootstrap resamples.
        seed: Of the resampling.

    Raises:
        ValueError: as `simultaneous`.

    References:
        Tsamardinos et al. 2018, "Bootstrapping the out-of-sample predictions for efficient and
        accurate cross-validation" (BBC-CV), arXiv:1708.07180.
    """
    values, often, _ = _checked(sums, counts, np.zeros((0, np.shape(sums)[1])))
    units, random = len(values), np.random.default_rng(seed)
    found: list[Floats] = []
    left = resamples
    while left > 0:
        size = min(left, max(1, _CELLS_AT_ONCE // units))
        drawn = random.multinomial(units, np.full(units, 1 / units), size=size)
        outside = (drawn == 0).astype(np.float64)
        kept = (outside @ often) > 0  # with few units, some resamples leave none out
        drawn, outside = drawn[kept], outside[kept]
        best = np.argmax((drawn @ values) / (drawn @ often)[:, None], 1)
        there = (outside @ values) / (outside @ often)[:, None]
        found.append(there[np.arange(len(best)), best])
        left -= size
    worth = np.concatenate(found)
    low, high = np.quantile(worth, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(worth.mean()), float(low), float(high), units, confidence)


def _checked(
    sums: ArrayLike, counts: ArrayLike, contrasts: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    values, often = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    weights = np.asarray(contrasts, np.float64)
    if values.ndim != 2 or often.shape != values.shape[:1] or weights.shape[1:] != values.shape[1:]:
        raise ValueError("sums are (unit, option), counts (unit,), contrasts (contrast, option).")
    if len(values) < 2:
        raise ValueError(f"An interval needs at least two units, got {len(values)}.")
    if not np.isfinite(values).all() or not (often > 0).all():
        raise ValueError("The values must be finite, the counts positive.")
    return values, often, weights
