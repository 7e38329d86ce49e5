"""PC405 and PC406: how well a shallow look, at form or at words, tells chosen from rejected."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, many, percent, verb
from preftune.checks.noise.classifier import Table, held_out_scores, logistic
from preftune.checks.noise.label_noise import FEWEST, judge, noise_figures, noise_findings, unknown
from preftune.checks.noise.words import Sample, differences
from preftune.checks.shortcuts.features import COUNTS
from preftune.checks.shortcuts.rules import Measured
from preftune.checks.shortcuts.telling import interval
from preftune.records import Estimate, Finding, Severity
from preftune.statistics.proportions import clustered_proportion

Ints = NDArray[np.integer]

_RIDGE = 1e-3
_FORMS_AT_MOST = 20_000
_SCATTER = np.uint64(2_654_435_761)
"""Knuth's multiplicative hash: which prompts are drawn has nothing to do with their order."""
_TOLD = 3
"""Features named, the heaviest first."""
_BY_FORM = 0.70
"""As for a single rule: three labels of four follow from counts of form, at the near end."""
_BY_WORDS = 0.97
"""Words are meaning, too: in pairs that teach a tone or a feeling they should tell the sides apart,
and do in 92 to 94 % (polite against rude, good against bad reviews). Beyond that it is the writers
that are told apart."""


def by_form(forms: NDArray[np.int16], prompts: Ints, best: Measured) -> Finding | None:
    """PC405: a classifier on all counts of form at once.

    Args:
        forms: Counts of chosen minus rejected, shape (pair, count).
        prompts: Shape (pair,).
        best: The best single rule, to compare with.

    Returns:
        None with too few prompts.
    """
    seen, kept = len(forms), _of_drawn_prompts(prompts)
    forms, prompts = forms[kept], prompts[kept]
    drawn = forms.astype(np.float64)
    features = np.sign(drawn) * np.log1p(np.abs(drawn))  # a few more count most
    features /= np.maximum(np.sqrt(np.square(features).mean(0)), 1e-9)
    if len(np.unique(prompts)) < FEWEST:
        return None
    table = Table(features)
    accuracy = accuracy_of(held_out_scores(table, prompts, _RIDGE), prompts)
    weights = logistic(table, np.ones(len(features), bool), _RIDGE)
    heaviest = sorted(zip(weights.tolist(), COUNTS, strict=True), key=lambda one: -abs(one[0]))
    told = [("more " if weight > 0 else "fewer ") + name for weight, name in heaviest[:_TOLD]]
    sentence = (
        f"{len(COUNTS)} counts of form predict {percent(accuracy.value)} of the labels "
        f"{interval(accuracy)} {_among(len(forms), seen)}(by chance 50 %, the best single rule, "
        f"“{best.rule}”, {percent(best.explained.value)}); what weighs most: {', '.join(told)}."
    )
    level = Severity.warning if accuracy.low >= _BY_FORM else Severity.info
    return _predicted("PC405", level, sentence, len(features), accuracy)


def _of_drawn_prompts(prompts: Ints) -> NDArray[np.bool_]:
    """Which pairs are looked at: all of some prompts, drawn by hash; every one if they are few."""
    scattered = prompts.astype(np.uint64) * _SCATTER % np.uint64(2**32)
    return scattered < _FORMS_AT_MOST / len(prompts) * 2**32


def _among(drawn: int, seen: int) -> str:
    return f"of {many(drawn, 'pair')} drawn from {seen:,} " if drawn < seen else ""


def accuracy_of(scores: NDArray[np.float64], prompts: Ints) -> Estimate:
    """Share of pairs whose chosen side has the higher score; a score of 0 is half right."""
    return clustered_proportion((1 + np.sign(scores)) / 2, prompts)


@dataclass(slots=True)
class Words:
    """PC406 and PC600 to PC602: what the words of the responses say of the labels."""

    _sample: Sample = field(default_factory=Sample)

    def see(self, case: Case) -> None:
        """Draw the pair, or let it go."""
        self._sample.add(case)

    def conclude(self, account: Account) -> Conclusion:
        """Fit the classifiers to the sample."""
        sample = self._sample
        sample.trim()
        drawn = len(sample.drawn)
        if not drawn:
            return Conclusion()
        prompts = sample.prompts
        number = len(np.unique(prompts))
        if number < FEWEST:
            few = f"{many(number, 'prompt')} {verb(number, 'are')} too few, {FEWEST} are needed"
            return Conclusion([unknown(few, drawn)])
        table = differences(sample.drawn)
        accuracy = accuracy_of(held_out_scores(table, prompts, _RIDGE), prompts)
        judged = judge(sample, table)
        findings = [_by_words(accuracy, sample), *noise_findings(judged, sample)]
        return Conclusion(findings, noise_figures(judged, sample, account))


def _by_words(accuracy: Estimate, sample: Sample) -> Finding:
    drawn = len(sample.drawn)
    of = f"{many(drawn, 'pair')}" + (f" drawn from {sample.seen:,}" if sample.seen > drawn else "")
    sentence = (
        f"words alone, without the prompt, tell chosen from rejected in "
        f"{percent(accuracy.value)} of {of} {interval(accuracy)}; by chance 50 %."
    )
    level = Severity.warning if accuracy.low >= _BY_WORDS else Severity.info
    return _predicted("PC406", level, sentence, drawn, accuracy)


def _predicted(
    code: str, level: Severity, sentence: str, pairs: int, accuracy: Estimate
) -> Finding:
    right = round(accuracy.value * pairs)
    return finding(code, level, sentence, right, pairs, unit="pairs", estimate=accuracy)
