"""The words of a bounded sample of pairs, and what chosen has that rejected lacks, as numbers."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Case
from preftune.checks.noise.classifier import Table

Words = NDArray[np.uint32]

_OF_A_PROMPT = 50
"""Pairs of one prompt that are drawn at most."""
PAIRS = 6_000
"""Pairs of the sample at most: their n-grams fill 20 to 40 MB, and intervals are ±1 point."""
_LONGEST = 400
"""Words of a response that count: enough to know it by."""
_LETTERS_OF_A_WORD = 12
_WORD = re.compile("[^\\W\u3040-\u30ff\u3400-\u9fff]+|[\u3040-\u30ff\u3400-\u9fff]")
"""Kana and Chinese characters are words by themselves: nothing stands between them."""
_BITS = 18
_BUCKETS = 1 << _BITS
"""A quarter of a million n-grams are told apart; others share a number, which does no harm."""
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A pair of the sample."""

    key: int
    """The prompt's key: a hash."""
    row: int
    pair: int
    prompt: int
    """The prompt's number."""
    letters: tuple[int, int]
    """Of chosen and of rejected."""
    chosen: Words
    rejected: Words


@dataclass(slots=True)
class Sample:
    """At most `limit` pairs: those of the prompts whose keys are lowest.

    The keys are hashes, so prompts are drawn at random, and the same ones in every run.
    """

    limit: int = PAIRS
    seen: int = 0
    """Pairs among which they were drawn."""
    drawn: list[Drawn] = field(default_factory=list[Drawn])
    _end: int = 1 << 64
    """Keys from here on are not drawn."""
    _taken: Counter[int] = field(default_factory=Counter[int])
    """Pairs of each prompt that was drawn: one prompt must not crowd out the others."""

    def add(self, case: Case) -> None:
        """Keep a row's pairs if its prompt is drawn."""
        self.seen += len(case.pairs)
        key = int.from_bytes(case.prompt_key, "big")
        if key >= self._end or not case.pairs:
            return
        texts = case.responses
        pairs = case.pairs[: max(0, _OF_A_PROMPT - self._taken[case.prompt_number])]
        self._taken[case.prompt_number] += len(pairs)
        sides = {side for pair in pairs for side in (pair.winner, pair.loser)}
        words = {side: words_of(texts[side]) for side in sides}
        for number, pair in enumerate(pairs):
            one, other = pair.winner, pair.loser
            letters = len(texts[one]), len(texts[other])
            place = (case.index, number, case.prompt_number)
            self.drawn.append(Drawn(key, *place, letters, words[one], words[other]))
        if len(self.drawn) > 1.1 * self.limit:
            self.trim()

    def trim(self) -> None:
        """Give back what is over the limit."""
        if len(self.drawn) > self.limit:
            self.drawn.sort(key=lambda one: (one.key, one.row, one.pair))
            del self.drawn[self.limit :]
            self._end = self.drawn[-1].key
            self._taken = Counter(one.prompt for one in self.drawn)

    @property
    def prompts(self) -> NDArray[np.int64]:
        """The prompt's number, shape (pair,)."""
        return np.array([one.prompt for one in self.drawn], np.int64)

    @property
    def letters(self) -> NDArray[np.float64]:
        """Letters of chosen and of rejected, shape (pair, 2)."""
        return np.array([one.letters for one in self.drawn], np.float64).reshape(-1, 2)


def words_of(text: str) -> Words:
    """The first words in small letters, each as a number that is the same in every process."""
    head = text[: _LONGEST * _LETTERS_OF_A_WORD].lower()
    words = _WORD.findall(head)[:_LONGEST]
    return np.array([zlib.crc32(word.encode(errors="surrogatepass")) for word in words], np.uint32)


def ngrams(words: Words) -> NDArray[np.int32]:
    """Numbers below 2**18 of the words and pairs of words that occur, each once, ascending."""
    wide = words.astype(np.uint64)
    pairs = wide[:-1] * _FIRST + wide[1:] * _SECOND
    both = np.concatenate([wide * _FIRST, pairs])
    return np.unique((both >> np.uint64(64 - _BITS)).astype(np.int32))


def differences(drawn: Sequence[Drawn]) -> Table:
    """Words and pairs of words of chosen minus those of rejected, one row for each pair.

    A response is the set of its n-grams (n = 1, 2), each weighing ln(1 + N / N_with), so that
    what everybody writes counts little; its length is scaled to 1, so that a longer response has
    no more weight. N-grams of a single response are left out: nothing is learned from them.

    Args:
        drawn: At least one pair.

    Returns:
        Shape (pair, n-gram), float32; the squared length of a row is 1 on average.
    """
    from scipy.sparse import csr_array

    shares = np.zeros(_BUCKETS, np.int32)
    most = 0
    for side in (side for one in drawn for side in (one.chosen, one.rejected)):
        found = ngrams(side)
        shares[found] += 1
        most += len(found)
    kept = shares > 1
    weights = np.zeros(_BUCKETS, np.float32)
    weights[kept] = np.log1p(2 * len(drawn) / shares[kept])
    numbers = (np.cumsum(kept) - 1).astype(np.int32)
    places, values = np.empty(most, np.int32), np.empty(most, np.float32)
    ends = np.zeros(len(drawn) + 1, np.int32)
    for row, one in enumerate(drawn):
        buckets, scaled = _difference(one, weights)
        start, ends[row + 1] = ends[row], ends[row] + len(buckets)
        places[start : ends[row + 1]] = numbers[buckets]
        values[start : ends[row + 1]] = scaled
    places, values = places[: ends[-1]], values[: ends[-1]]
    values /= np.float32(np.sqrt(values @ values / len(drawn)) or 1)
    shape = (len(drawn), max(1, int(kept.sum())))
    return Table(csr_array((values, places, ends), shape=shape))


def _difference(
    one: Drawn, weights: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Buckets in which the sides differ, and by how much."""
    sides = [ngrams(one.chosen), ngrams(one.rejected)]
    scaled = [weights[side] / (np.linalg.norm(weights[side]) or 1) for side in sides]
    places, order = np.unique(np.concatenate(sides), return_inverse=True)
    values = np.bincount(order, np.concatenate([scaled[0], -scaled[1]]), len(places))
    differ = values != 0
    return places[differ], values[differ].astype(np.float32)
