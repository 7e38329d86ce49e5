"""Intervals and win rates: how sure a number is. numpy and scipy only."""

from preftune.statistics.bootstrap import (
    bootstrap_mean,
    bootstrap_means,
    bootstrap_ratio,
    paired_difference,
)
from preftune.statistics.win_rates import outcomes, win_rate

__all__ = [
    "bootstrap_mean",
    "bootstrap_means",
    "bootstrap_ratio",
    "outcomes",
    "paired_difference",
    "win_rate",
]
