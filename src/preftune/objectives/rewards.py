"""Implicit rewards: what an objective compares, one value for each response.

Accuracy and reward margins in the metric log are of these, so they say how well the quantity that
is optimised tells chosen from rejected. Each takes the record and the objective's settings.
"""

from collections.abc import Mapping

from torch import Tensor

from preftune.objectives.logprobs import LogProbs

Settings = Mapping[str, float]


def log_ratio(logps: LogProbs, settings: Settings) -> Tensor:
    """Beta times the log-ratio; in nats where there is no beta."""
    return settings.get("beta", 1.0) * logps.log_ratios


def mean_log_ratio(logps: LogProbs, settings: Settings) -> Tensor:
    """Beta times the log-ratio per token."""
    return settings.get("beta", 1.0) * logps.mean_log_ratios


def log_prob(logps: LogProbs, settings: Settings) -> Tensor:
    """Beta times the log-prob: no reference."""
    return settings.get("beta", 1.0) * logps.sums


def mean_log_prob(logps: LogProbs, settings: Settings) -> Tensor:
    """Beta times the log-prob per token: no reference."""
    return settings.get("beta", 1.0) * logps.means
