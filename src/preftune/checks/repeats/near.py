"""PC201 and PC202: rows and prompts that are nearly, but not quite, the same."""

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.finding import finding, many, percent, verb
from preftune.checks.grading import graded
from preftune.checks.repeats.clusters import Bands, Compare, clusters
from preftune.checks.repeats.exact import Repeats, twins
from preftune.checks.repeats.shingles import Numbers, Places
from preftune.checks.repeats.sketches import NEAR, Block, PromptSketches, is_full, shingled
from preftune.records import Finding

_SIDE = 48
"""Bytes for what won, and for what lost."""
_ALIKE = 0.4
"""Rows whose texts are near as a whole may differ so much in one of them."""


@dataclass(slots=True)
class NearRepeats:
    """Finds near repeats by MinHash: 248 bytes a row, of which 140 for its prompt if it is new.

    A prompt is a near repeat of another where their last turns share 70 % of their neighbouring
    words, and so does what came before. A row is one of another where prompt, what won and what
    lost share 70 % taken together, and 40 % taken each alone: other responses to the same prompt
    are no repeats. Exact repeats are not counted again.
    """

    repeats: Repeats
    """Knows which rows are exact repeats once every row was seen."""
    prompts: PromptSketches = field(default_factory=PromptSketches)
    _sides: tuple[Block, Block] = field(default_factory=lambda: (Block(_SIDE), Block(_SIDE)))
    _numbers: "array[int]" = field(default_factory=lambda: array("I"))
    _first_rows: "array[int]" = field(default_factory=lambda: array("I"))
    """Row in which each distinct prompt was seen first."""
    _waiting: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _characters: int = 0
    _clusters: Places | None = None

    def see(self, case: Case) -> None:
        """Remember the sketches of a row."""
        if case.prompt_number == len(self._first_rows):
            self._first_rows.append(case.index)
            self.prompts.add(case.group.prompt)
        self._numbers.append(case.prompt_number)
        sides = _sides_of(case)
        self._waiting.append(sides)
        self._characters += len(sides[0]) + len(sides[1])
        if is_full(len(self._waiting), self._characters):
            self._flush()

    def prompt_clusters(self) -> Places:
        """For each distinct prompt the number of the first one that it is a near repeat of."""
        if self._clusters is None:
            self.prompts.flush()
            count = len(self._first_rows)
            bands, near = self.prompts.bands(), self.prompts.near(self.prompts)
            self._clusters = clusters(bands, near) if count else np.empty(0, np.int64)
        return self._clusters

    def conclude(self, account: Account) -> Conclusion:
        """Count the rows and the prompts that are near repeats of an earlier one."""
        self._flush()
        self.prompts.flush()
        found = (self._rows(account), self._prompts(account))
        return Conclusion([one for one in found if one])

    def _rows(self, account: Account) -> Finding | None:
        if not account.sources:
            return None
        rows = np.sort(np.unique(self.repeats.keys, return_index=True)[1])
        roots = clusters(self._row_bands(rows), self._row_near(rows))
        again = np.flatnonzero(roots != np.arange(len(rows)))
        if not len(again):
            return None
        share = len(again) / len(account.sources)
        groups = len(np.unique(roots[again]))
        return finding(
            "PC201",
            graded(share, warning=0.05, error=0.5),
            f"{many(len(again), 'row')} ({percent(share)}) nearly {verb(len(again), 'repeat')} an "
            f"earlier one, with a few words changed, in {many(groups, 'cluster')}.",
            len(again),
            len(account.sources),
            examples=twins(rows[again], rows[roots[again]], account, "nearly the same as"),
        )

    def _prompts(self, account: Account) -> Finding | None:
        roots = self.prompt_clusters()
        again = np.flatnonzero(roots != np.arange(len(roots)))
        if not len(again):
            return None
        share = len(again) / len(roots)
        largest = int(np.bincount(roots).max())
        rows = np.frombuffer(self._first_rows, np.uint32).astype(np.int64)
        return finding(
            "PC202",
            graded(share, warning=0.1),
            f"{many(len(again), 'prompt')} ({percent(share)}) nearly "
            f"{verb(len(again), 'repeat')} "
            f"an earlier one; the largest cluster has {largest:,} of them.",
            len(again),
            len(roots),
            unit="prompts",
            examples=twins(rows[again], rows[roots[again]], account, "nearly the prompt of"),
        )

    def _row_bands(self, rows: Places) -> Bands:
        """Keys of two bytes each of what won, what lost and, in turns, either part of the prompt.

        Where one part of the prompt was put in other words, the other one has the same keys.
        """
        prompts = np.frombuffer(self._numbers, np.uint32)[rows]
        won, lost = self._sides
        asked = self.prompts.parts

        def band(number: int) -> Numbers:
            half, part = divmod(number, 2)
            keys = won.keys(number, np.uint16)[rows] << np.uint64(32)
            keys |= lost.keys(number, np.uint16)[rows] << np.uint64(16)
            return keys | asked[part].keys(half, np.uint16)[prompts]

        return [lambda number=number: band(number) for number in range(_SIDE // 2)]

    def _row_near(self, rows: Places) -> Compare:
        numbers = np.frombuffer(self._numbers, np.uint32)

        def compare(ones: Places, others: Places) -> NDArray[np.bool_]:
            first, second = rows[ones], rows[others]
            asked, again = (numbers[rows].astype(np.int64) for rows in (first, second))
            last, before = self.prompts.parts
            whole = last.overlap(asked, again) + before.overlap(asked, again)
            alike = whole[0] >= _ALIKE * whole[1]
            for side in self._sides:
                shared = side.overlap(first, second)
                alike &= shared[0] >= _ALIKE * shared[1]
                whole = whole + shared
            return alike & (whole[0] > 0) & (whole[0] >= NEAR * whole[1])

        return compare

    def _flush(self) -> None:
        for number, block in enumerate(self._sides):
            if self._waiting:
                block.add(shingled([sides[number] for sides in self._waiting]))
        self._waiting.clear()
        self._characters = 0


def _sides_of(case: Case) -> tuple[str, str]:
    """What won and what lost; responses judged alone by their thumb."""
    won = {pair.winner for pair in case.pairs}
    lost = {pair.loser for pair in case.pairs}
    if not case.pairs:
        for index, response in enumerate(case.group.responses):
            bad = response.rating is not None and response.rating.good is False
            (lost if bad else won).add(index)
    texts = case.responses
    one, other = ("\n".join(sorted(texts[index] for index in side)) for side in (won, lost))
    return one, other
