"""What tuning did to held-out pairs: their log-probs, and whether the preference was learnt."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from preftune.evaluation.results import Change, PairChange
from preftune.records import Estimate, TokenGroup
from preftune.statistics import bootstrap_ratio, outcomes

Floats = NDArray[np.float64]


def pair_change(
    pairs: Sequence[TokenGroup], before: Floats, after: Floats, seed: int
) -> PairChange:
    """Compare the log-probs of pairs under two models.

    Args:
        pairs: Groups of two responses with one relation each.
        before: Summed log-probs, shape (pair, 2), in the order of the responses, nats.
        after: The same after tuning.
        seed: Of the intervals. Pairs of the same prompt are resampled together.
    """
    winner = np.array([pair.relations[0].winner for pair in pairs])
    each = np.arange(len(pairs))
    _, prompt = np.unique([pair.prompt_ids.tobytes() for pair in pairs], return_inverse=True)
    counts = np.bincount(prompt).astype(np.float64)

    def mean(values: Floats) -> Estimate:
        return bootstrap_ratio(np.bincount(prompt, values), counts, seed=seed)

    def side(index: NDArray[np.int64]) -> Change:
        old, new = before[each, index], after[each, index]
        return Change(mean(old), mean(new), mean(new - old))

    ratios = after - before
    chosen, rejected = ratios[each, winner], ratios[each, 1 - winner]
    return PairChange(
        len(pairs),
        side(winner),
        side(1 - winner),
        mean(chosen - rejected),
        mean(outcomes(chosen, rejected)),
    )
