"""PC708: pairs that look alike to the model, so that pushing one response down pushes both.

    LN-CHES = <h+, h-> - |h+|^2,  h+ and h- the mean final hidden states of chosen and rejected

LN-CHES has no scale of its own: it hangs on how long the model's states are. What has one is how
far the two lie apart, against the chosen and rejected responses of different prompts:

    apart = |h+ - h-|^2 / median |h+ - h-'|^2

Pairs nearer than that are displaced more often: docs/log.md has the experiment.
"""

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Conclusion
from preftune.checks.finding import finding, many, percent
from preftune.checks.reference.readings import Floats, Readings
from preftune.records import Example, Severity
from preftune.statistics import win_rate

ALIKE = 0.1
"""Responses less than a tenth as far apart as those to different prompts are nearly the same."""
MANY_ALIKE = 0.1
"""Share of such pairs from which a person should look."""


def displacement(readings: Readings) -> Conclusion:
    """The riskiest pairs of the sample, and whether many are at risk.

    References:
        Razin et al. 2024, arXiv:2410.08847 (LN-CHES, ranked within the data).
    """
    of, chosen, rejected = readings.pairs
    if not len(of):
        return Conclusion()
    import torch

    from preftune.models.states import ches

    high, low = chosen.states.astype(np.float64), rejected.states.astype(np.float64)
    scores = ches(torch.from_numpy(high), torch.from_numpy(low)).numpy()
    prompts = readings.prompt_numbers(of)
    apart = apart_of(high, low, prompts)
    alike = apart < ALIKE
    _, number = np.unique(prompts, return_inverse=True)
    share = win_rate(np.bincount(number, alike) / np.bincount(number))
    count, total = int(alike.sum()), len(of)
    said = (
        f"in {count or 'none'} of {many(total, 'pair')} ({percent(count / total)}) chosen and "
        f"rejected are nearly the same to the model; LN-CHES is {np.median(scores):.3g} at the "
        "median and "
        f"{scores.max():.3g} at most."
    )
    found = finding(
        "PC708",
        Severity.warning if share.low > MANY_ALIKE else Severity.info,
        said,
        count,
        total,
        unit="pairs",
        # The nearly equal ones first; among them, and among the others, by LN-CHES.
        examples=(
            _example(readings, int(of[place]), float(scores[place]), float(apart[place]))
            for place in np.lexsort((-scores, ~alike))
        ),
        estimate=share,
    )
    figure = {
        "ln_ches": [float(f"{score:.5g}") for score in scores],
        "apart": [round(float(ratio), 4) for ratio in apart if np.isfinite(ratio)],
    }
    return Conclusion([found], {"displacement": figure})


def apart_of(chosen: Floats, rejected: Floats, prompts: NDArray[np.int64]) -> Floats:
    """(pair,) how far apart two responses are: 1 is as far as those to different prompts.

    Args:
        chosen: (pair, hidden) mean final hidden states.
        rejected: (pair, hidden) the other response's.
        prompts: (pair,) which prompt each pair belongs to.

    Returns:
        Infinite where nothing can be told, because all pairs have one prompt.
    """
    own = ((chosen - rejected) ** 2).sum(1)
    others = [
        ((chosen - np.roll(rejected, step, 0)) ** 2).sum(1)[prompts != np.roll(prompts, step)]
        for step in range(1, min(len(prompts), 9))
    ]
    distances = np.concatenate([*others, np.empty(0)])
    usual = float(np.median(distances)) if len(distances) else 0.0
    return own / usual if usual > 0 else np.full(len(own), np.inf)


def _example(readings: Readings, index: int, score: float, apart: float) -> Example:
    one = readings.sample[index]
    note = f"LN-CHES {score:.3g}"
    if np.isfinite(apart):
        note += f", {percent(apart)} as far apart as responses to different prompts"
    return Example(one.row, pair=one.pair, note=note)
