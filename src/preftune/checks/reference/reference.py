"""PC704 to PC706: are these responses and prompts ones that the reference could have written?"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Conclusion
from preftune.checks.finding import finding, many, percent
from preftune.checks.reference.displacement import displacement
from preftune.checks.reference.readings import Floats, Readings, Texts
from preftune.records import Estimate, Example, Finding, Severity
from preftune.statistics import bootstrap_ratio, win_rate

OFF_POLICY = 1.0
"""Nats per token beyond what the model expects of itself: e times as unlikely, token by token."""
ONE_SIDED = 0.9
"""Share of pairs in which the reference prefers the same side."""
OUTLIER = 4.0
"""Robust standard deviations below the other prompts; on top of that at least `APART` nats."""
APART = 1.0
LOST = 2.0
"""Nats per token by which a prompt surprises a model that does not know such text at all."""
GUESSING = 0.95
"""Of log V, what guessing among the V tokens of the vocabulary costs."""
MANY_HARD = 0.05
FEW = 3
"""Fewer are no pattern, whatever their share."""


def judge_readings(readings: Readings) -> Conclusion:
    """All that the reference's readings say about the data."""
    risk = displacement(readings)
    found = [*_off_policy(readings), *_preference(readings), *_hard_prompts(readings)]
    figure = {
        "chosen": _rounded(readings.chosen.means),
        "rejected": _rounded(readings.rejected.means),
        "expected": _rounded(-readings.chosen.entropy / readings.chosen.lengths),
        "prompts": _rounded(readings.prompts.means),
    }
    return Conclusion([*found, *risk.findings], {"reference": figure, **risk.figures})


def _off_policy(readings: Readings) -> Iterator[Finding]:
    texts, of = readings.chosen, readings.chosen_of
    if not len(of):
        return
    own = -float(texts.entropy.sum() / texts.lengths.sum())
    other = f" (rejected: {_mean(readings.rejected):.2f})" if len(readings.rejected_of) else ""
    sentence = (
        f"in chosen responses a token has {_mean(texts):.2f} nats under the reference{other}, one "
        f"of its own in the same places {own:.2f}"
    )
    excess = _per_token(texts.surprise * texts.lengths, texts, readings.prompt_numbers(of))
    if excess is not None:
        sentence += f": {excess.value:.2f} [{excess.low:.2f}, {excess.high:.2f}] less"
    off = excess is not None and excess.low > OFF_POLICY
    far = texts.surprise > OFF_POLICY
    yield finding(
        "PC704",
        Severity.warning if off else Severity.info,
        sentence + ".",
        int(far.sum()),
        len(of),
        unit="responses",
        examples=(
            _example(readings, int(of[place]), f"chosen: {texts.means[place]:.2f} nats a token")
            for place in np.argsort(-texts.surprise).tolist()
            if far[place]
        ),
        estimate=excess,
    )


def _preference(readings: Readings) -> Iterator[Finding]:
    of, chosen, rejected = readings.pairs
    if not len(of):
        return
    prompts = readings.prompt_numbers(of)
    gap = chosen.sums - rejected.sums
    total = _share(np.sign(gap) / 2 + 0.5, prompts)
    each = _share(np.sign(chosen.means - rejected.means) / 2 + 0.5, prompts)
    one_sided = min(total.low, each.low) > ONE_SIDED or max(total.high, each.high) < 1 - ONE_SIDED
    yield finding(
        "PC705",
        Severity.warning if one_sided else Severity.info,
        f"the reference prefers chosen in {_interval(total)} of {len(of):,} pairs by the whole "
        f"response's log-prob, in {_interval(each)} by that of a token.",
        int((gap > 0).sum()),
        len(of),
        unit="pairs",
        examples=(
            _example(readings, int(of[place]), f"rejected is {-gap[place]:.0f} nats likelier")
            for place in np.argsort(gap).tolist()
            if gap[place] < 0
        ),
        estimate=total,
    )


def _hard_prompts(readings: Readings) -> Iterator[Finding]:
    texts, of = readings.prompts, readings.prompts_of
    if not len(of):
        return
    hard = _outliers(texts) | _lost(texts, readings.vocabulary)
    count, total = int(hard.sum()), len(of)
    share = win_rate(hard.astype(np.float64))
    median = f"the median prompt has {np.median(texts.means):.2f} nats a token"
    sentence = f"the reference can handle all of {many(total, 'prompt')}: {median}"
    if count:
        sentence = (
            f"the reference can't handle {count:,} of {many(total, 'prompt')} "
            f"({percent(count / total)}): {median}, these {np.median(texts.means[hard]):.2f}"
        )
    yield finding(
        "PC706",
        Severity.warning if share.low > MANY_HARD and count >= FEW else Severity.info,
        sentence + ".",
        count,
        total,
        unit="prompts",
        examples=(
            _example(readings, int(of[place]), f"{texts.means[place]:.2f} nats a token")
            for place in np.argsort(texts.means).tolist()
            if hard[place]
        ),
        estimate=share,
    )


def _outliers(texts: Texts) -> NDArray[np.bool_]:
    """Prompts far less likely than the others, by more than their length makes plausible."""
    middle = np.median(texts.means)
    between = 1.4826 * np.median(np.abs(texts.means - middle))
    spread = np.sqrt(between**2 + texts.error**2)
    below = middle - texts.means
    return (below > OUTLIER * spread) & (below > APART)


def _lost(texts: Texts, vocabulary: int) -> NDArray[np.bool_]:
    """Prompts that surprise the model however sure it is, or of which it can only guess."""
    surprised = texts.surprise - 2 * texts.error > LOST
    guessed = texts.means + 2 * texts.error < -GUESSING * np.log(vocabulary)
    return surprised | guessed


def _share(outcomes: Floats, prompts: NDArray[np.int64]) -> Estimate:
    """Each prompt counts once, whatever the number of its pairs."""
    _, number = np.unique(prompts, return_inverse=True)
    return win_rate(np.bincount(number, outcomes) / np.bincount(number))


def _per_token(values: Floats, texts: Texts, prompts: NDArray[np.int64]) -> Estimate | None:
    """Sum of values / tokens, prompts resampled; none for a single prompt."""
    _, number = np.unique(prompts, return_inverse=True)
    if number.max() == 0:
        return None
    return bootstrap_ratio(np.bincount(number, values), np.bincount(number, texts.lengths))


def _mean(texts: Texts) -> float:
    return float(texts.sums.sum() / texts.lengths.sum())


def _interval(share: Estimate) -> str:
    return f"{percent(share.value)} [{percent(share.low)}, {percent(share.high)}]"


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 4) for value in values]


def _example(readings: Readings, index: int, note: str) -> Example:
    one = readings.sample[index]
    return Example(one.row, pair=one.pair, note=note)
