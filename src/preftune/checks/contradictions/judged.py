"""All judgements of a file as arrays: who won against whom, in which row, said by whom."""

import zlib
from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Case
from preftune.checks.repeats.shingles import Numbers, Places

MOST_PAIRS = 28
"""Of a row with more (eight ranked responses have as many) the ones with the smallest keys are
kept: the same ones in every row with the same responses."""


@dataclass(slots=True)
class Judged:
    """Keeps every judgement that prefers one response: 28 bytes each."""

    _prompts: "array[int]" = field(default_factory=lambda: array("I"))
    _winners: "array[int]" = field(default_factory=lambda: array("Q"))
    _losers: "array[int]" = field(default_factory=lambda: array("Q"))
    _rows: "array[int]" = field(default_factory=lambda: array("I"))
    _annotators: "array[int]" = field(default_factory=lambda: array("I"))

    def add(self, case: Case) -> None:
        """The judgements of a row."""
        keys = [int.from_bytes(key, "little") for key in case.response_keys]
        pairs = case.pairs
        if len(pairs) > MOST_PAIRS:
            pairs = sorted(pairs, key=lambda one: keys[one.winner] ^ keys[one.loser])[:MOST_PAIRS]
        for one in pairs:
            self._prompts.append(case.prompt_number)
            self._winners.append(keys[one.winner])
            self._losers.append(keys[one.loser])
            self._rows.append(case.index)
            name = one.annotator.encode(errors="surrogatepass")
            self._annotators.append(zlib.crc32(name) or 1 if name else 0)

    def votes(self) -> "Votes":
        """The judgements, gathered by the two responses that they are about."""
        prompts = np.frombuffer(self._prompts, np.uint32).astype(np.int64)
        winners, losers = (np.frombuffer(side, np.uint64) for side in (self._winners, self._losers))
        rows = np.frombuffer(self._rows, np.uint32).astype(np.int64)
        annotators = np.frombuffer(self._annotators, np.uint32)
        first, second = np.minimum(winners, losers), np.maximum(winners, losers)
        order = np.lexsort((second, first, prompts))
        new = np.ones(len(order), np.bool_)
        for column in (prompts, first, second):
            inner = column[order]
            new[1:] = new[1:] & (inner[1:] == inner[:-1])
        new[1:] = ~new[1:]
        pairs = np.empty(len(order), np.int64)
        pairs[order] = np.cumsum(new) - 1
        return Votes(pairs, winners == first, rows, annotators, prompts, winners, losers)


@dataclass(frozen=True, slots=True)
class Votes:
    """Every judgement with the number of its pair; all of shape (judgement,)."""

    pairs: Places
    """Number of the two responses that it is about."""
    forward: NDArray[np.bool_]
    """Which of the two won."""
    rows: Places
    annotators: NDArray[np.uint32]
    """A number that stands for the annotator, 0 where nobody is named."""
    prompts: Places
    winners: Numbers
    losers: Numbers

    @property
    def total(self) -> Places:
        """Judgements of each pair, copies counted once, shape (pair,)."""
        return np.bincount(self.pairs[self._first])

    @property
    def lead(self) -> Places:
        """By how many the one side won over the other, shape (pair,)."""
        won = self._first & self.forward
        return 2 * np.bincount(self.pairs[won], minlength=len(self.total)) - self.total

    @property
    def _first(self) -> NDArray[np.bool_]:
        """Judgements that are no copies: the first of its pair, direction and annotator."""
        order = np.lexsort((self.annotators, self.forward, self.pairs))
        new = np.zeros(len(order), np.bool_)
        new[:1] = True
        for column in (self.pairs, self.forward, self.annotators):
            inner = column[order]
            new[1:] |= inner[1:] != inner[:-1]
        first = np.empty(len(order), np.bool_)
        first[order] = new
        return first

    @property
    def by_people(self) -> NDArray[np.bool_]:
        """Pairs whose judges are all named and all different, shape (pair,)."""
        order = np.lexsort((self.annotators, self.pairs))
        pairs, names = self.pairs[order], self.annotators[order]
        fault = names == 0
        fault[1:] |= (pairs[1:] == pairs[:-1]) & (names[1:] == names[:-1])
        return np.bincount(pairs[fault], minlength=len(self.total)) == 0

    def mostly(self, bad: NDArray[np.bool_]) -> Places:
        """Rows of whose judgements at least half are bad, in order.

        Args:
            bad: Shape (judgement,).
        """
        every = np.bincount(self.rows)
        worse = np.bincount(self.rows[bad], minlength=len(every))
        return np.flatnonzero((worse > 0) & (2 * worse >= every))
