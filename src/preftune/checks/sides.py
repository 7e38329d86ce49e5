"""PC107, PC108 and PC110: how responses begin and end, chosen and rejected told apart."""

import math
from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.endings import Ending, ending
from preftune.checks.finding import SHOWN, finding, many, percent
from preftune.checks.marks import closing_mark
from preftune.checks.tally import names_of, severity_of, share_of, shown
from preftune.checks.texts import is_refusal
from preftune.records import Estimate, Example, Finding, Severity

_CHOSEN, _REJECTED, _NEITHER = 0, 1, 2
_REFUSES, _MARKED = 4, 8
"""Bits beside those of the ending."""
_FEW_OPEN = 0.1
"""Where almost all prose ends with a mark, the rest was cut off."""
_WANTS_MORE = 0.15
"""Of text that is cut at random words a third ends with one that wants more; who writes without
full stops hardly ever ends with one."""
_MANY_CUT, _MANY_REFUSALS, _SOME_MARKS, _SIDED_MARKS = 0.05, 0.25, 0.01, 0.5


@dataclass(slots=True)
class Sides:
    """Six bytes for each response: its prompt, its side, and what was seen of it."""

    _prompts: "array[int]" = field(default_factory=lambda: array("I"))
    _sides: "array[int]" = field(default_factory=lambda: array("B"))
    _seen: "array[int]" = field(default_factory=lambda: array("B"))
    _examples: dict[str, list[Example]] = field(default_factory=dict[str, list[Example]])

    def see(self, case: Case) -> None:
        """Look at the responses of one row."""
        for number, (text, side) in enumerate(zip(case.responses, sides_of(case), strict=True)):
            end, refuses, mark = ending(text), is_refusal(text), closing_mark(text)
            self._prompts.append(case.prompt_number)
            self._sides.append(side)
            self._seen.append(end + _REFUSES * refuses + _MARKED * bool(mark))
            if end >= Ending.open:
                self._show(f"{end.name} {side}", case, number, len(text) - 1)
            if refuses:
                self._show(f"refusal {side}", case, number, 0)
            self._show("marked" if mark else "unmarked", case, number, len(text) - 1)

    def _show(self, what: str, case: Case, number: int, at: int) -> None:
        examples = self._examples.setdefault(what, [])
        if len(examples) < SHOWN:
            text = case.responses[number]
            examples.append(shown(case, names_of(case)[number], text, max(0, at)))

    def _first(self, *kinds: str) -> list[Example]:
        return [one for kind in kinds for one in self._examples.get(kind, ())]

    def conclude(self, account: Account) -> Conclusion:
        """Findings on endings, refusals and end-of-turn marks, and the shares of both sides."""
        seen = np.frombuffer(self._seen, np.uint8)
        if not len(seen):
            return Conclusion()
        sides = Shares(
            np.frombuffer(self._prompts, np.uint32), np.frombuffer(self._sides, np.uint8)
        )
        ends = (seen & 3).astype(np.uint8)
        found = [
            self._endings(sides, ends),
            self._refusals(sides, (seen & _REFUSES) > 0),
            self._marks(sides, (seen & _MARKED) > 0),
        ]
        figures = {"endings": {name: sides.counts(ends == end) for name, end in _NAMES}}
        return Conclusion([one for one in found if one], figures)

    def _endings(self, sides: "Shares", ends: NDArray[np.uint8]) -> Finding | None:
        cut = ends == Ending.cut
        surely, maybe = int(cut.sum()), int((ends == Ending.open).sum())
        judged = int((ends != Ending.unjudged).sum())
        if maybe <= _FEW_OPEN * judged or surely >= _WANTS_MORE * (surely + maybe):
            cut |= ends == Ending.open
        if not cut.any():
            return None
        share = sides.share(cut)
        worse = sides.difference(cut).low > _MANY_CUT
        level = Severity.warning if worse else severity_of(share, _MANY_CUT)
        kinds = ("cut 0", "cut 2", "open 0", "open 2", "cut 1", "open 1")
        count = int(cut.sum())
        return finding(
            "PC107",
            level,
            f"{many(count, 'response')} ({percent(count / len(cut))}) stop in the middle"
            f"{sides.told(cut)}.",
            count,
            len(cut),
            unit="responses",
            examples=self._first(*kinds),
            estimate=share,
        )

    def _refusals(self, sides: "Shares", refuses: NDArray[np.bool_]) -> Finding | None:
        if not refuses.any():
            return None
        share, count = sides.share(refuses), int(refuses.sum())
        return finding(
            "PC108",
            severity_of(share, _MANY_REFUSALS),
            f"{many(count, 'response')} ({percent(count / len(refuses))}) refuse"
            f"{sides.told(refuses)}.",
            count,
            len(refuses),
            unit="responses",
            examples=self._first("refusal 0", "refusal 2", "refusal 1"),
            estimate=share,
        )

    def _marks(self, sides: "Shares", marked: NDArray[np.bool_]) -> Finding | None:
        count, total = int(marked.sum()), len(marked)
        if count in (0, total):
            return None
        fewer = marked if 2 * count < total else ~marked
        share = share_of(int(fewer.sum()), total, sides.units)
        gap = sides.difference(marked)
        sided = gap.low > _SIDED_MARKS or gap.high < -_SIDED_MARKS
        level = Severity.error if sided else severity_of(share, _SOME_MARKS)
        kind = "marked" if fewer is marked else "unmarked"
        return finding(
            "PC110",
            level,
            f"{many(count, 'response')} of {total:,} end with an end-of-turn mark, "
            f"{total - count:,} without{sides.told(marked)}.",
            int(fewer.sum()),
            total,
            unit="responses",
            examples=self._first(kind),
            estimate=share,
        )


_NAMES = (
    ("closed", Ending.closed),
    ("unjudged", Ending.unjudged),
    ("open", Ending.open),
    ("cut", Ending.cut),
)


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of chosen and of rejected responses, as sure as their prompts make them."""

    prompts: NDArray[np.uint32]
    sides: NDArray[np.uint8]

    @property
    def units(self) -> int:
        """Distinct prompts."""
        return len(np.unique(self.prompts))

    def share(self, found: NDArray[np.bool_]) -> Estimate:
        """Of the chosen ones, where there are any; else of all."""
        chosen = self.sides == _CHOSEN
        of = chosen if chosen.any() else np.ones_like(chosen)
        return share_of(int(found[of].sum()), int(of.sum()), self.units)

    def counts(self, found: NDArray[np.bool_]) -> dict[str, int]:
        """How many of each side."""
        names = ("chosen", "rejected", "neither")
        return {name: int(found[self.sides == side].sum()) for side, name in enumerate(names)}

    def told(self, found: NDArray[np.bool_]) -> str:
        """`: 3.1 % of the chosen, 2.0 % of the rejected`, where there are both."""
        both = [found[self.sides == side] for side in (_CHOSEN, _REJECTED)]
        if not all(len(one) for one in both):
            return ""
        chosen, rejected = (percent(float(one.mean())) for one in both)
        return f": {chosen} of the chosen, {rejected} of the rejected"

    def difference(self, found: NDArray[np.bool_]) -> Estimate:
        """Share of the chosen less share of the rejected, its interval clustered by prompt."""
        count = int(self.prompts.max()) + 1
        influence, value = np.zeros(count), 0.0
        for side, sign in ((_CHOSEN, 1.0), (_REJECTED, -1.0)):
            of = self.sides == side
            if not of.any():
                return Estimate(0.0, -1.0, 1.0, 0)
            share, number = float(found[of].mean()), int(of.sum())
            value += sign * share
            spread = np.bincount(self.prompts[of], found[of] - share, count)
            influence += sign * spread / number
        reach = 1.96 * math.sqrt(float(np.sum(influence**2)))
        return Estimate(value, value - reach, value + reach, self.units)


def sides_of(case: Case) -> list[int]:
    """Of each response: chosen (it won and never lost, or has thumbs up), rejected, or neither."""
    if not case.pairs:
        ratings = (response.rating for response in case.group.responses)
        thumbs = (rating.good if rating else None for rating in ratings)
        return [_NEITHER if good is None else _REJECTED - good for good in thumbs]
    won = {pair.winner for pair in case.pairs}
    lost = {pair.loser for pair in case.pairs}
    return [
        _NEITHER if (number in won) == (number in lost) else _CHOSEN if number in won else _REJECTED
        for number in range(len(case.responses))
    ]
