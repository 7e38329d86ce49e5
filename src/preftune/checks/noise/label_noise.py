"""PC600 to PC602: how many labels are wrong, whether that can be said here, and which they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account
from preftune.checks.finding import finding, many, percent
from preftune.checks.noise.classifier import Table
from preftune.checks.noise.plateau import Noise, fit, length_columns, noise_scores
from preftune.checks.noise.words import Sample
from preftune.checks.shortcuts.telling import interval
from preftune.records import Estimate, Example, Finding, Severity

Floats = NDArray[np.float64]

FEWEST = 200
"""Prompts: with fewer no interval is narrow enough."""
_NARROW = 0.06
"""Half the width of an interval that is still an estimate: what is asked of one at 40 % noise."""
_PLATEAU = 0.8
"""Clean labels that the words must predict. At 60 %, what the words miss looks like noise: HH's
harmless pairs, of which words predict 59 %, are fitted by anything between 0 and 26 % noise."""
_HALF = 0.47
"""An interval that reaches further does not exclude labels drawn at random."""
_NOISY = 0.1
"""Surely more than this is a warning: from here on objectives that expect noise pay."""
_DOUBTED = 0.5
"""More probably wrong than right."""
_LISTED = 20
_CURVE = 12


@dataclass(frozen=True, slots=True)
class Judged:
    """What the words of a sample say of its labels."""

    noise: Noise
    """Fitted to the last round; its interval covers those of all rounds."""
    scores: Floats
    """Of the round that fits the labels best, shape (pair,)."""
    doubts: Floats
    """Probability that each label is wrong, shape (pair,)."""
    agreement: float
    """Share of labels that agree with their score."""
    by_length: float
    """Share of labels that follow from length alone."""

    @property
    def obstacle(self) -> str:
        """Why the share of wrong labels can't be told; empty where it can."""
        noise = self.noise
        if self.by_length >= self.agreement:
            return (
                f"length alone predicts {percent(self.by_length)} of the labels, words beyond "
                f"length {percent(self.agreement)}"
            )
        reason = f"words predict only {percent(self.agreement)} of the labels"
        if (noise.high - noise.low) / 2 > _NARROW or noise.high > _HALF:
            return f"{reason}, so that anything from {_range(noise.low, noise.high)} fits"
        return reason if noise.clean < _PLATEAU else ""


def _range(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def judge(sample: Sample, table: Table) -> Judged:
    """Fit the noise model to a sample.

    Args:
        sample: At least one pair.
        table: Its `differences`.
    """
    prompts, letters = sample.prompts, sample.letters
    rounds = noise_scores(table, prompts, length_columns(letters))
    independent = len(np.unique(prompts)) / len(prompts)
    fits = [fit(scores, independent) for scores in rounds]
    best = max(range(len(fits)), key=lambda number: fits[number].likelihood)
    last = fits[-1]
    low, high = min(one.low for one in fits), max(one.high for one in fits)
    longer = float((1 + np.sign(letters[:, 0] - letters[:, 1])).mean()) / 2
    return Judged(
        noise=Noise(last.rate, low, high, last.steepness, last.clean, last.likelihood),
        scores=rounds[best],
        doubts=fits[best].doubt(rounds[best]),
        agreement=float((1 + np.sign(rounds[-1])).mean()) / 2,
        by_length=max(longer, 1 - longer),
    )


def noise_findings(judged: Judged, sample: Sample) -> Iterator[Finding]:
    """PC600 and PC602 where the share can be told, else PC601."""
    noise, total = judged.noise, len(sample.drawn)
    prompts = len(np.unique(sample.prompts))
    estimate = Estimate(noise.rate, noise.low, noise.high, prompts)
    if judged.obstacle:
        yield unknown(judged.obstacle, total)
        return
    level = Severity.warning if noise.low > _NOISY else Severity.info
    of = many(total, "pair") + (f" drawn from {sample.seen:,}" if sample.seen > total else "")
    sentence = (
        f"about {percent(noise.rate)} of the labels are the wrong way round "
        f"{interval(estimate)}, judged by the words of {of}, or depend on what the prompt asks, "
        "which is not read here."
    )
    count = round(noise.rate * total)
    yield finding("PC600", level, sentence, count, total, unit="pairs", estimate=estimate)
    doubted = int((judged.doubts > _DOUBTED).sum())
    if doubted:
        sentence = f"{many(doubted, 'label')} {'is' if doubted == 1 else 'are'} more probably "
        sentence += "wrong than right, judged by the words of all others."
        examples = _examples(judged, sample)
        yield finding(
            "PC602", Severity.info, sentence, doubted, total, unit="pairs", examples=examples
        )


def unknown(reason: str, total: int) -> Finding:
    """PC601: the share can't be told."""
    sentence = f"how many labels are wrong can't be estimated here: {reason}."
    return finding("PC601", Severity.info, sentence, total, total, unit="pairs")


def noise_figures(judged: Judged, sample: Sample, account: Account) -> dict[str, object]:
    """Plots `noise`, agreement by how sure the words are, and `suspicious`, the top of the list."""
    noise = judged.noise
    told = not judged.obstacle
    figures: dict[str, object] = {
        "noise": {
            "estimate": noise.rate,
            "low": noise.low,
            "high": noise.high,
            "told": told,
            "curve": _curve(judged.scores),
        }
    }
    listed = _most_doubted(judged)
    if told and listed:
        figures["suspicious"] = [
            {
                "row": sample.drawn[place].row,
                "source": account.sources[sample.drawn[place].row],
                "probability": float(judged.doubts[place]),
            }
            for place in listed
        ]
    return figures


def _examples(judged: Judged, sample: Sample) -> Iterator[Example]:
    for place in _most_doubted(judged):
        one = sample.drawn[place]
        note = f"wrong with a probability of {percent(float(judged.doubts[place]))}"
        yield Example(one.row, note=note, pair=one.pair)


def _most_doubted(judged: Judged) -> list[int]:
    order = np.argsort(-judged.doubts, kind="stable")[:_LISTED]
    return [int(place) for place in order if judged.doubts[place] > _DOUBTED]


def _curve(scores: Floats) -> list[dict[str, float]]:
    """Share of labels that agree, in bins of equally many pairs, from the least sure score up."""
    order = np.argsort(np.abs(scores), kind="stable")
    parts = [part for part in np.array_split(order, _CURVE) if len(part)]
    return [
        {
            "sureness": float(np.abs(scores[part]).mean()),
            "agreement": float((1 + np.sign(scores[part])).mean() / 2),
            "pairs": len(part),
        }
        for part in parts
    ]
