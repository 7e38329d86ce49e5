"""How responses begin, and the opening that most tells chosen from rejected."""

from __future__ import annotations

import re
import zlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

LONGEST = 3
"""Words of an opening at most."""
_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_HEAD = 80
"""Letters in which the first words are looked for."""
_NAMES = 20_000
"""Openings whose words are remembered; those seen once go first."""
_FEWEST = 20
"""Pairs that an opening must have decided in the half where it is selected."""


@dataclass(slots=True)
class Openings:
    """The first one, two and three words of both sides of each pair, as 4-byte numbers."""

    _numbers: array[int] = field(default_factory=lambda: array("I"))
    _names: Counter[str] = field(default_factory=Counter[str])

    def add(self, winner: Sequence[int], loser: Sequence[int]) -> None:
        """Keep one pair: `numbers_of` both sides."""
        self._numbers.extend(winner)
        self._numbers.extend(loser)

    def numbers_of(self, text: str) -> tuple[int, ...]:
        """The openings of a response, of one, two and three words; 0 where it has fewer."""
        names = openings_of(text)
        self._names.update(names)
        if len(self._names) > _NAMES:  # what is frequent comes again: lossy counting
            self._names = Counter({name: n - 1 for name, n in self._names.items() if n > 1})
        found = tuple(map(_number, names))
        return found + (0,) * (LONGEST - len(found))

    def telling(self, selecting: NDArray[np.bool_]) -> tuple[str, NDArray[np.int8]] | None:
        """The opening that decides most, and on which side of each pair it stands.

        Args:
            selecting: Which pairs select it, shape (pair,). The others, which did not, are those
                to measure it on: a selected one flatters itself.

        Returns:
            Its words, and shape (pair,): 1 where only the chosen response begins so, -1 where only
            the rejected one does, 0 where both or neither do; none where nothing is frequent.
        """
        sides = np.frombuffer(self._numbers, np.uint32).reshape(-1, 2, LONGEST)
        differ = sides[:, 0] != sides[:, 1]
        chosen, rejected = (_counts(sides[selecting, side][differ[selecting]]) for side in (0, 1))
        names = {_number(name): name for name in self._names}
        weights = {
            number: abs(chosen[number] - rejected[number]) / decided**0.5
            for number, decided in (chosen + rejected).items()
            if number in names and decided >= _FEWEST
        }
        if not weights:
            return None
        best = max(weights, key=lambda number: (weights[number], number))
        starts = (sides == best).any(-1).astype(np.int8)
        return names[best], starts[:, 0] - starts[:, 1]


def openings_of(text: str) -> list[str]:
    """The first word, the first two and the first three, in small letters.

    >>> openings_of("I'm sorry, but no.")
    ["i'm", "i'm sorry", "i'm sorry but"]
    """
    head = text[:_HEAD].lower().replace("’", "'")
    words = [found.group() for found in islice(_WORDS.finditer(head), LONGEST)]
    return [" ".join(words[:number]) for number in range(1, len(words) + 1)]


def _counts(numbers: NDArray[np.uint32]) -> Counter[int]:
    values, counts = np.unique(numbers, return_counts=True)
    return Counter(dict(zip(map(int, values), map(int, counts), strict=True)))


def _number(name: str) -> int:
    """4 bytes for some words, equal in every process; 0 stands for none."""
    return zlib.crc32(name.encode(errors="surrogatepass")) or 1
