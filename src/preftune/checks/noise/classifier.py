"""Cross-validated classifiers that tell chosen from rejected by their difference.

They are antisymmetric: a weight for each feature of chosen minus rejected and no intercept, so that
swapping the sides of a pair turns its score round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

_STEPS = 50


@dataclass(frozen=True, slots=True)
class Table:
    """Features of chosen minus rejected, dense or sparse."""

    matrix: Any
    """Shape (pair, feature): a numpy array or a sparse array of scipy. Vectors take its dtype, as
    scipy would otherwise copy the whole table into theirs."""

    @property
    def shape(self) -> tuple[int, int]:
        """Pairs and features."""
        pairs, features = self.matrix.shape
        return int(pairs), int(features)

    @property
    def squares(self) -> Floats:
        """The squared length of each row, shape (pair,)."""
        return np.asarray((self.matrix * self.matrix).sum(1), np.float64)

    def scores(self, weights: Floats) -> Floats:
        """Each pair's sum of weighted features, shape (pair,)."""
        return np.asarray(self.matrix @ weights.astype(self.matrix.dtype), np.float64)

    def sums(self, shares: Floats) -> Floats:
        """Each feature's sum over pairs that count with these shares, shape (feature,)."""
        return np.asarray(self.matrix.T @ shares.astype(self.matrix.dtype), np.float64)


def folds_of(prompts: Ints, number: int = 10) -> Iterator[NDArray[np.bool_]]:
    """Which pairs are held out, once for each fold: pairs of a prompt always together.

    >>> sorted(held_out.tolist() for held_out in folds_of(np.array([7, 8, 7])))
    [[False, True, False], [True, False, True]]
    """
    names, places = np.unique(prompts, return_inverse=True)
    folds = np.random.default_rng(0).permutation(len(names)) % number
    for fold in range(min(number, len(names))):
        yield folds[places] == fold


def logistic(table: Table, training: NDArray[np.bool_], ridge: float) -> Floats:
    """Weights w that minimise the training pairs' mean of ln(1 + exp(-x w)), plus ridge/2 |w|².

    Args:
        table: Features x of chosen minus rejected.
        training: Which pairs count, shape (pair,).
        ridge: Pull towards 0, > 0.

    Returns:
        Shape (feature,).
    """
    from scipy.optimize import minimize  # pyright: ignore[reportUnknownVariableType]
    from scipy.special import expit

    count = max(1, int(training.sum()))

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = table.scores(weights)
        value = np.logaddexp(0, -scores[training]).sum() / count + ridge / 2 * weights @ weights
        slopes = np.where(training, -expit(-scores), 0.0) / count
        return float(value), table.sums(slopes) + ridge * weights

    start = np.zeros(table.shape[1])
    found: Any = minimize(  # pyright: ignore[reportUnknownVariableType]
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    return np.asarray(found.x, np.float64)


def held_out_scores(table: Table, prompts: Ints, ridge: float, folds: int = 5) -> Floats:
    """Each pair's score x w, with w fitted to the pairs of other prompts, shape (pair,)."""
    scores = np.zeros(table.shape[0])
    for held_out in folds_of(prompts, folds):
        scores[held_out] = table.scores(logistic(table, ~held_out, ridge))[held_out]
    return scores
