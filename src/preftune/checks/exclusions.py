"""Findings on the rows that can't be used: broken ones, empty responses, identical ones."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from preftune.checks.finding import SHOWN, finding, many, percent
from preftune.checks.grading import graded
from preftune.records import Example, Exclusion, Finding, Severity
from preftune.sources.reading import MOST_WITHOUT_SIGNAL

_WARNED = 0.01
"""Share of rows with nothing to teach from which on a person should look: published data holds a
few in a thousand."""


@dataclass(slots=True)
class Exclusions:
    """What was left out, by reason, with the first few of each."""

    counts: Counter[str] = field(default_factory=Counter[str])
    """Of each reason: broken rows, rows without signal and expected ones alike."""
    _codes: dict[str, str] = field(default_factory=dict[str, str])
    _first: dict[str, list[Exclusion]] = field(default_factory=dict[str, list[Exclusion]])

    def see(self, exclusion: Exclusion) -> None:
        """Count a row that is not used."""
        self.counts[exclusion.reason] += 1
        if exclusion.expected:
            return
        self._codes.setdefault(exclusion.reason, code_of(exclusion))
        first = self._first.setdefault(exclusion.reason, [])
        if len(first) < SHOWN:
            first.append(exclusion)

    def findings(self, rows: int) -> Iterator[Finding]:
        """One for each reason.

        Args:
            rows: All rows, used and excluded, that a reason could have met.
        """
        for reason, code in self._codes.items():
            count = self.counts[reason]
            yield finding(
                code,
                Severity.error if code == "PC100" else self._without_signal(rows),
                f"{many(count, 'row')} ({percent(count / rows)}) can't be used: {reason}.",
                count,
                rows,
                examples=(Example(-1, one.source, note=one.detail) for one in self._first[reason]),
            )

    def _without_signal(self, rows: int) -> Severity:
        """How severe the rows with nothing to teach are, all together: `train` refuses a file with
        too many of them, and leaves a few out.
        """
        empty = sum(self.counts[reason] for reason, code in self._codes.items() if code != "PC100")
        expected = sum(
            number for reason, number in self.counts.items() if reason not in self._codes
        )
        share = empty / (rows - expected)
        return graded(share, warning=_WARNED, error=math.nextafter(MOST_WITHOUT_SIGNAL, 1))


def code_of(exclusion: Exclusion) -> str:
    """The code of the finding on rows that are left out for such a reason."""
    if exclusion.broken:
        return "PC100"
    return "PC102" if exclusion.reason.startswith("identical") else "PC101"
