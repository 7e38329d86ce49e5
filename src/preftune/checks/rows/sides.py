"""PC107, PC108 and PC110: how responses begin and end, chosen and rejected told apart."""

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import SHOWN, finding, many, percent, verb
from preftune.checks.rows.endings import Ending, ending, last_word, words_of
from preftune.checks.rows.marks import closing_mark
from preftune.checks.rows.shares import CHOSEN, NEITHER, REJECTED, Shares
from preftune.checks.rows.tally import names_of, severity_of, share_of, shown
from preftune.checks.rows.texts import is_refusal
from preftune.records import Example, Finding, Severity

_REFUSES, _MARKED = 4, 8
"""Bits beside those of the ending."""
_FEW_OPEN = 0.1
"""Where almost all prose ends with a mark, the rest was cut off."""
_BROKEN_OFF = 0.4
"""Of texts that are cut anywhere more than half end inside a word or with one that wants more; of
those of writers who leave out the full stop, few."""
_DOUBTFUL = 0.3
"""With fewer the writers may have left out their full stops: no cause for a warning."""
_VOCABULARY = 2_000
"""Rows whose words are learned: enough to tell a word from a part of one."""
_MANY_CUT, _MANY_REFUSALS, _SOME_MARKS, _SIDED_MARKS = 0.05, 0.25, 0.01, 0.5


@dataclass(slots=True)
class Sides:
    """Six bytes for each response: its prompt, its side, and what was seen of it."""

    _prompts: "array[int]" = field(default_factory=lambda: array("I"))
    _sides: "array[int]" = field(default_factory=lambda: array("B"))
    _seen: "array[int]" = field(default_factory=lambda: array("B"))
    _last: "array[int]" = field(default_factory=lambda: array("q"))
    """Hashes of the last words of those without an end mark."""
    _words: set[int] = field(default_factory=set[int])
    _examples: dict[str, list[Example]] = field(default_factory=dict[str, list[Example]])

    def see(self, case: Case) -> None:
        """Look at the responses of one row."""
        if case.index < _VOCABULARY:
            self._words.update(map(hash, words_of(case.prompt)[:-1]))
        for number, (text, side) in enumerate(zip(case.responses, sides_of(case), strict=True)):
            end, refuses, mark = ending(text), is_refusal(text), closing_mark(text)
            self._prompts.append(case.prompt_number)
            self._sides.append(side)
            self._seen.append(end + _REFUSES * refuses + _MARKED * bool(mark))
            if case.index < _VOCABULARY:
                self._words.update(map(hash, words_of(text)[:-1]))
            if end is Ending.open:
                self._last.append(hash(last_word(text)))
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

    def stopping(self) -> NDArray[np.bool_]:
        """Of each response, in the order in which they were seen: does it stop in the middle?"""
        ends = np.frombuffer(self._seen, np.uint8) & np.uint8(3)
        return stopped(ends, broken_off(ends, self._strange()))

    def _strange(self) -> int:
        """How many responses without an end mark end with what is no word elsewhere."""
        return sum(word not in self._words for word in self._last)

    def conclude(self, account: Account) -> Conclusion:
        """Findings on endings, refusals and end-of-turn marks, and the shares of both sides."""
        seen = np.frombuffer(self._seen, np.uint8)
        if not len(seen):
            return Conclusion()
        sides = Shares(
            np.frombuffer(self._prompts, np.uint32), np.frombuffer(self._sides, np.uint8)
        )
        ends = seen & np.uint8(3)
        found = [
            self._endings(sides, ends),
            self._refusals(sides, (seen & _REFUSES) > 0),
            self._marks(sides, (seen & _MARKED) > 0),
        ]
        figures = {"endings": {name: sides.counts(ends == end) for name, end in _NAMES}}
        return Conclusion([one for one in found if one], figures)

    def _endings(self, sides: Shares, ends: NDArray[np.uint8]) -> Finding | None:
        cut = self.stopping()
        if not cut.any():
            return None
        share = sides.share(cut)
        worse = sides.difference(cut).low > _MANY_CUT
        level = Severity.warning if worse else severity_of(share, _MANY_CUT)
        if broken_off(ends, self._strange()) < _DOUBTFUL:
            level = Severity.info
        kinds = ("cut 0", "cut 2", "open 0", "open 2", "cut 1", "open 1")
        count = int(cut.sum())
        return finding(
            "PC107",
            level,
            f"{many(count, 'response')} ({percent(count / len(cut))}) {verb(count, 'stop')} in "
            "the middle, or "
            f"without an end mark{sides.told(cut)}.",
            count,
            len(cut),
            unit="responses",
            examples=self._first(*kinds),
            estimate=share,
        )

    def _refusals(self, sides: Shares, refuses: NDArray[np.bool_]) -> Finding | None:
        if not refuses.any():
            return None
        share, count = sides.share(refuses), int(refuses.sum())
        return finding(
            "PC108",
            severity_of(share, _MANY_REFUSALS),
            f"{many(count, 'response')} ({percent(count / len(refuses))}) {verb(count, 'refuse')}"
            f"{sides.told(refuses)}.",
            count,
            len(refuses),
            unit="responses",
            examples=self._first("refusal 0", "refusal 2", "refusal 1"),
            estimate=share,
        )

    def _marks(self, sides: Shares, marked: NDArray[np.bool_]) -> Finding | None:
        count, total = int(marked.sum()), len(marked)
        if count in (0, total):
            return None
        fewer = marked if 2 * count < total else ~marked
        share = share_of(int(fewer.sum()), total, len(np.unique(sides.prompts)))
        gap = sides.difference(marked)
        sided = gap.low > _SIDED_MARKS or gap.high < -_SIDED_MARKS
        level = Severity.error if sided else severity_of(share, _SOME_MARKS)
        kind = "marked" if fewer is marked else "unmarked"
        return finding(
            "PC110",
            level,
            f"{many(count, 'response')} of {total:,} {verb(count, 'end')} with an end-of-turn "
            f"mark, {total - count:,} without{sides.told(marked)}.",
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


def broken_off(ends: NDArray[np.uint8], strange: int) -> float:
    """Of the ends without a mark, those inside a word or with one that wants more, in [0, 1].

    Args:
        ends: `Ending` of each response, shape (response,).
        strange: How many of the open ones end with what is no word elsewhere.
    """
    surely, maybe = (int((ends == end).sum()) for end in (Ending.cut, Ending.open))
    return (surely + strange) / max(1, surely + maybe)


def stopped(ends: NDArray[np.uint8], broken: float) -> NDArray[np.bool_]:
    """Which responses stop in the middle, judged by how the others end; shape (response,).

    An end without a mark is a cut where almost all others have one, or where so many are broken
    off that cutting must be the reason. Elsewhere it is a style, and only what surely wants more
    counts.

    Args:
        ends: `Ending` of each response, shape (response,).
        broken: As `broken_off` has it.
    """
    opened = ends == Ending.open
    judged = int((ends != Ending.unjudged).sum())
    cut = ends == Ending.cut
    few = int(opened.sum()) <= _FEW_OPEN * judged
    return cut | opened if few or broken >= _BROKEN_OFF else cut


def sides_of(case: Case) -> list[int]:
    """Of each response: chosen (it won and never lost, or has thumbs up), rejected, or neither."""
    if not case.pairs:
        ratings = (response.rating for response in case.group.responses)
        thumbs = (rating.good if rating else None for rating in ratings)
        return [NEITHER if good is None else REJECTED - good for good in thumbs]
    won = {pair.winner for pair in case.pairs}
    lost = {pair.loser for pair in case.pairs}
    return [
        NEITHER if (number in won) == (number in lost) else CHOSEN if number in won else REJECTED
        for number in range(len(case.responses))
    ]
