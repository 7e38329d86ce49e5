"""Intervals and win rates: how sure a number is. numpy and scipy only."""

from preftune.statistics.agreement import (
    alpha_interval,
    fleiss_kappa,
    krippendorff_alpha,
    label_counts,
    pairwise_agreement,
    with_others,
)
from preftune.statistics.bootstrap import (
    bootstrap_mean,
    bootstrap_means,
    bootstrap_ratio,
    paired_difference,
)
from preftune.statistics.selection import chosen_elsewhere, simultaneous
from preftune.statistics.win_rates import outcomes, win_rate

__all__ = [
    "alpha_interval",
    "bootstrap_mean",
    "bootstrap_means",
    "bootstrap_ratio",
    "chosen_elsewhere",
    "fleiss_kappa",
    "krippendorff_alpha",
    "label_counts",
    "outcomes",
    "paired_difference",
    "pairwise_agreement",
    "simultaneous",
    "win_rate",
    "with_others",
]
