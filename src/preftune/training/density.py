"""Weights of bad responses that make their prompts look like those of the good ones.

Where good and bad responses answer different kinds of prompts, a classifier of responses learns to
tell the prompts apart. Weighing each bad one by the density ratio p(x | good) / p(x | bad) helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # pyright: ignore[reportUnknownVariableType]
from scipy.special import expit, log_expit

from preftune.errors import DataError
from preftune.models import LogProbModel
from preftune.models.features import prompt_features
from preftune.records import TokenGroup

Floats = NDArray[np.float64]

PROMPTS_TO_FIT = 1024
"""As many prompts of each kind, at most, decide the ratio."""
LIMITS = (0.5, 10.0)
"""Smallest and largest weight."""
RIDGE = 1.0
"""Penalty of the squared coefficients, of features in standard deviations."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Groups with their weights."""

    groups: list[TokenGroup]
    sentence: str


def match_prompts(
    model: LogProbModel, groups: Sequence[TokenGroup], *, seed: int, tokens_per_batch: int
) -> Matched:
    """Weigh groups with bad responses by the density ratio of their prompts.

    The ratio is the odds of a logistic classifier with balanced classes, on the mean hidden states
    of the prompts under `model`.

    Args:
        model: The policy at its start.
        groups: Of one response each, with a thumb.
        seed: Chooses the prompts to fit where there are many.
        tokens_per_batch: Tokens of a forward.

    Raises:
        DataError: pairs, of which each prompt has one of both; or thumbs of one kind only (PT105).

    References:
        Jung et al. 2024, arXiv:2404.04656 (underlying distribution matching).
    """
    if any(sum(not one.mismatched for one in group.responses) > 1 for group in groups):
        raise _no_effect("every prompt has a good and a bad response already")
    good = np.array([_is_good(group) for group in groups])
    if good.all() or not good.any():
        raise _no_effect("all thumbs are of one kind")
    prompts = [group.prompt_ids for group in groups]
    features = prompt_features(model, prompts, tokens_per_batch=tokens_per_batch)
    spread = features.std(0)
    features = (features - features.mean(0)) / np.where(spread > 0, spread, 1.0)
    draw = np.random.default_rng(seed)
    chosen = np.concatenate(
        [draw.permutation(np.flatnonzero(good == kind))[:PROMPTS_TO_FIT] for kind in (True, False)]
    )
    odds = np.exp(_log_odds(features[chosen], good[chosen], features))
    weights = np.where(good, 1.0, np.clip(odds, *LIMITS))
    matched = [
        replace(group, weight=group.weight * float(weight))
        for group, weight in zip(groups, weights, strict=True)
    ]
    bad = weights[~good]
    sentence = (
        f"{len(bad):,} bad responses weigh {bad.min():.2f} to {bad.max():.2f} "
        f"(median {np.median(bad):.2f}), so that their prompts are distributed like the good ones'."
    )
    return Matched(matched, sentence)


def _log_odds(features: Floats, good: NDArray[np.bool_], asked: Floats) -> Floats:
    """Log p(good | x) / p(bad | x) of the asked rows, had there been as many of each."""
    design = np.column_stack([features, np.ones(len(features))])
    sign = np.where(good, 1.0, -1.0)
    share = float(good.mean())
    balance = np.where(good, 0.5 / share, 0.5 / (1 - share))

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        z = sign * (design @ coefficients)
        slope: Floats = -(balance * sign * expit(-z)) @ design
        penalised = np.append(coefficients[:-1], 0.0)
        misfit = float(-(balance * np.asarray(log_expit(z))).sum())
        return misfit + RIDGE / 2 * float((penalised**2).sum()), slope + RIDGE * penalised

    found = cast(Any, minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B"))
    coefficients: Floats = found.x
    return np.column_stack([asked, np.ones(len(asked))]) @ coefficients


def _is_good(group: TokenGroup) -> bool:
    rating = group.responses[0].rating
    return rating is not None and bool(rating.good)


def _no_effect(reason: str) -> DataError:
    return DataError(
        "PT105",
        f"data.match_prompts has no effect: {reason}.",
        why="it weighs bad responses whose prompts differ from those of the good ones.",
        fix="leave data.match_prompts out.",
    )
