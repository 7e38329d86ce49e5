"""How far people agree when several judge the same thing: beyond chance, and one by one.

Everything starts from one table, shape (unit, label): how often each label was given to each unit.
A unit is what is judged, such as two responses to a prompt. Missing judgements need no care: a
unit counts with as many as it has, and with none if it has fewer than two.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preftune.records import Estimate
from preftune.statistics.bootstrap import bootstrap_means

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def label_counts(units: ArrayLike, labels: ArrayLike, num_labels: int) -> Integers:
    """How often each label was given to each unit.

    Args:
        units: Number of what was judged, from 0, shape (judgement,).
        labels: What it was judged to be, in [0, `num_labels`), shape (judgement,).
        num_labels: Number of possible labels.

    Returns:
        Shape (unit, label).

    Example:
        >>> label_counts([0, 0, 1], [2, 2, 0], 3).tolist()
        [[0, 0, 2], [1, 0, 0]]
    """
    rows, columns = np.asarray(units, np.int64), np.asarray(labels, np.int64)
    number = int(rows.max()) + 1 if len(rows) else 0
    cells = np.bincount(rows * num_labels + columns, minlength=number * num_labels)
    return cells.astype(np.int64).reshape(number, num_labels)


def krippendorff_alpha(counts: ArrayLike) -> float:
    """Agreement beyond chance for nominal labels, any number of judgements a unit.

    α = 1 − D_o / D_e, with n the judgements on units that have two or more, n_uc those of unit u
    for label c, m_u = Σ_c n_uc and n_c = Σ_u n_uc:
    D_o = Σ_u Σ_c n_uc (m_u − n_uc) / (m_u − 1) / n and D_e = Σ_c n_c (n − n_c) / (n (n − 1)).

    Args:
        counts: Shape (unit, label).

    Returns:
        1 where all agree, 0 where they agree as often as chance; NaN where no unit was judged
        twice, or where only one label was ever given.

    References:
        Krippendorff 2019, "Content Analysis", 4th edition, section 12.3.

    Example:
        >>> round(krippendorff_alpha([[3, 0], [0, 3], [2, 1]]), 3)
        0.6
    """
    columns = _columns(counts)
    if np.count_nonzero(columns[:, 2:].sum(0)) < 2:
        return float("nan")
    return float(_alpha(columns.mean(0), len(columns)))


def alpha_interval(
    counts: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Krippendorff's alpha with its BCa bootstrap interval.

    What is resampled are each unit's sums over its pairs of judgements, so a resample costs as
    much as the units have different sums, however many judgements there are.

    Args:
        counts: Shape (unit, label).
        clusters: What belongs together and is drawn together, such as the units' prompts, shape
            (unit,); by default every unit is drawn alone.
        confidence: Coverage of the interval.
        resamples: Number of bootstrap resamples.
        seed: Of the resampling.

    Raises:
        ValueError: fewer than two clusters have units that were judged twice, or only one label
            was ever given.

    References:
        Zapf et al. 2016, BMC Medical Research Methodology 16:93: the interval; units are drawn.
    """
    table = np.asarray(counts, np.int64)
    several = table.sum(1) >= 2
    columns = _columns(table)
    if clusters is not None:
        columns = _summed(columns, np.asarray(clusters)[several])
    if np.count_nonzero(columns[:, 2:].sum(0)) < 2:
        raise ValueError("Where only one label was given, agreement beyond chance is undefined.")
    rows, times = np.unique(columns, axis=0, return_counts=True)
    number = len(columns)
    return bootstrap_means(
        rows,
        lambda means: _alpha(means, number),
        times=times,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def pairwise_agreement(counts: ArrayLike) -> float:
    """The share of all pairs of judgements on the same unit that are equal; NaN without any.

    >>> pairwise_agreement([[3, 0], [2, 1]])
    0.6666666666666666
    """
    table = np.asarray(counts, np.float64)
    given = table.sum(1)
    possible = float((given * (given - 1)).sum())
    return float((table * (table - 1)).sum()) / possible if possible else float("nan")


def fleiss_kappa(counts: ArrayLike) -> float:
    """Agreement beyond chance where every unit has equally many judgements.

    κ = (P̄ − P_e) / (1 − P_e), with P̄ the pairwise agreement and P_e = Σ_c p_c², p_c the share of
    label c among all judgements.

    Raises:
        ValueError: the units have different numbers of judgements, or fewer than two.

    References:
        Fleiss 1971, Psychological Bulletin 76, 378.

    Example:
        >>> round(fleiss_kappa([[3, 0], [0, 3], [2, 1]]), 3)
        0.55
    """
    table = np.asarray(counts, np.float64)
    given = table.sum(1)
    if not len(given) or given.min() != given.max() or given[0] < 2:
        raise ValueError("Fleiss' kappa needs equally many judgements of each unit, two or more.")
    chance = float(((table.sum(0) / table.sum()) ** 2).sum())
    return (pairwise_agreement(table) - chance) / (1 - chance) if chance < 1 else float("nan")


def with_others(units: ArrayLike, labels: ArrayLike, counts: ArrayLike) -> tuple[Floats, Floats]:
    """For each judgement: how far it agrees with the others of its unit, and they among themselves.

    Both are shares of pairs of judgements. Their difference is 0 on average for an annotator who
    is like the others, however hard the units are that fell to them.

    Args:
        units: Shape (judgement,), rows of `counts`.
        labels: Shape (judgement,), columns of `counts`.
        counts: Shape (unit, label), of these judgements.

    Returns:
        Two arrays of shape (judgement,) in [0, 1]; NaN where there is no other judgement, and the
        second also where there is only one other.
    """
    rows, columns = np.asarray(units, np.int64), np.asarray(labels, np.int64)
    table = np.asarray(counts, np.float64)
    others = table.sum(1)[rows] - 1
    same = table[rows, columns] - 1
    equal = (table * (table - 1)).sum(1)[rows] - 2 * same  # ordered pairs without this judgement
    with np.errstate(divide="ignore", invalid="ignore"):
        return same / others, equal / (others * (others - 1))


def _columns(counts: ArrayLike) -> Floats:
    """For each unit judged twice or more: judgements, disagreement, and the count of each label."""
    table = np.asarray(counts, np.float64)
    given = table.sum(1)
    table, given = table[given >= 2], given[given >= 2]
    disagreement = (given**2 - (table**2).sum(1)) / (given - 1)
    return np.column_stack([given, disagreement, table])


def _summed(columns: Floats, clusters: NDArray[np.generic]) -> Floats:
    names, place = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, place, columns)
    return sums


def _alpha(means: Floats, number: int) -> Floats:
    """Alpha from the means of the columns over `number` units (or clusters of them).

    A resample in which only one label occurs has no disagreement: 1.
    """
    judgements = means[..., 0] * number
    labels = means[..., 2:] * number
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = means[..., 1] * number / judgements
        expected = (judgements**2 - (labels**2).sum(-1)) / (judgements * (judgements - 1))
        return np.where(expected > 0, 1 - observed / expected, 1.0)
