"""PC503: how long prompts and responses are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding
from preftune.records import Severity

_BINS = 30
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
Counts = dict[str, Counter[int]]
"""How often each length was seen, by part: `prompt`, `chosen`, `rejected`, `response`."""


@dataclass(slots=True)
class Lengths:
    """Counts lengths in characters and in words: a few bytes for each different length.

    Figures: `lengths` and `lengths_in_words`, each with `unit`; `bins`, 31 edges of which the last
    stands for all beyond; and for each part there is (`prompt`, `chosen`, `rejected`, or `response`
    where nothing was preferred) 30 counts. `quantiles` holds, by part, the lengths below which
    5, 25, 50, 75, 95 and 99 % are.
    """

    _characters: Counts = field(default_factory=Counts)
    _words: Counts = field(default_factory=Counts)

    def see(self, case: Case) -> None:
        """Count the row's lengths: each response once for each pair that it is in."""
        characters = [len(text) for text in case.responses]
        words = [len(text.split()) for text in case.responses]
        self._count("prompt", len(case.prompt), len(case.prompt.split()))
        for pair in case.pairs:
            self._count("chosen", characters[pair.winner], words[pair.winner])
            self._count("rejected", characters[pair.loser], words[pair.loser])
        if not case.pairs:
            for lengths in zip(characters, words, strict=True):
                self._count("response", *lengths)

    def conclude(self, account: Account) -> Conclusion:
        """Say the medians, and draw the lengths."""
        if not account.sources:
            return Conclusion()
        middle = {part: quantiles(counts, (0.5, 0.95)) for part, counts in self._words.items()}
        said = ", ".join(
            f"{part} {half:,} words (5 % over {most:,})" for part, (half, most) in middle.items()
        )
        found = finding(
            "PC503",
            Severity.info,
            f"median lengths: {said}.",
            len(account.sources),
            len(account.sources),
        )
        figures: dict[str, object] = {
            "lengths": _figure("characters", self._characters),
            "lengths_in_words": _figure("words", self._words),
        }
        return Conclusion([found], figures)

    def _count(self, part: str, characters: int, words: int) -> None:
        if part not in self._words:
            self._characters[part], self._words[part] = Counter(), Counter()
        self._characters[part][characters] += 1
        self._words[part][words] += 1


def quantiles(counts: Mapping[int, int], shares: tuple[float, ...]) -> list[int]:
    """The smallest lengths that these shares of all are not above.

    >>> quantiles({1: 5, 7: 4, 100: 1}, (0.5, 0.9, 0.95))
    [1, 7, 100]
    """
    lengths = sorted(counts)
    reached = list(accumulate(counts[length] for length in lengths))
    at = np.searchsorted(reached, [share * reached[-1] for share in shares])
    return [lengths[place] for place in at.tolist()]


def _figure(unit: str, parts: Counts) -> dict[str, object]:
    longest = max(quantiles(counts, (0.99,))[0] for counts in parts.values())
    width = max(1, -(-longest // _BINS))
    figure: dict[str, object] = {
        "unit": unit,
        "bins": [width * number for number in range(_BINS + 1)],
        "quantiles": {part: quantiles(counts, _QUANTILES) for part, counts in parts.items()},
    }
    for part, counts in parts.items():
        bars = [0] * _BINS
        for length, count in counts.items():
            bars[min(length // width, _BINS - 1)] += count
        figure[part] = bars
    return figure
