"""Summed log-probs of whole responses under a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preftune.batching import fill
from preftune.records import TokenGroup

if TYPE_CHECKING:
    from preftune.models import LogProbModel

Floats = NDArray[np.float64]


def summed_logps(
    model: "LogProbModel", groups: Sequence[TokenGroup], tokens_per_batch: int
) -> Floats:
    """(group, response) log p of each response in nats, all groups having as many responses.

    Args:
        model: What scores.
        groups: At least one.
        tokens_per_batch: Token budget of a scoring batch.
    """
    from preftune.models.reference import score

    sums = np.empty((len(groups), len(groups[0].responses)))
    for part in fill([group.length for group in groups], tokens_per_batch):
        rows = score(model, [groups[index] for index in part])
        for index, arrays in zip(part, rows, strict=True):
            masks = [response.trained for response in groups[index].responses]
            sums[index] = [
                array.astype(np.float64)[mask].sum()
                for array, mask in zip(arrays, masks, strict=True)
            ]
    return sums
