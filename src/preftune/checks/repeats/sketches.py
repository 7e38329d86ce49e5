"""Sketches of prompts and of what was judged, a few bytes each, made in batches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from preftune.checks.repeats.clusters import Bands, Compare
from preftune.checks.repeats.minhash import Sketches, similarity, sketch
from preftune.checks.repeats.shingles import Numbers, Places, Shingles, neighbours_of, words_of
from preftune.records import Message

NEAR = 0.7
"""Texts are near where they share so much of their neighbouring words: one word in eleven may be
another."""
_LAST, _BEFORE = 96, 32
"""Bytes for the prompt's last turn, and for all before it."""
_PIECE = 1 << 13
"""Sketches kept in one piece."""
_ROWS_AT_ONCE = 500
_CHARACTERS_AT_ONCE = 200_000
_COMMON = 0.25
"""Neighbours that more of the prompts share belong to a template, and say nothing of a prompt."""
_FEWEST_PROMPTS = 100
"""From so few prompts nobody can say what is common."""


@dataclass(slots=True)
class Block:
    """Sketches of some kind of text, one after the other."""

    hashes: int
    _pieces: list[Sketches] = field(default_factory=list[Sketches])
    """Of equal size, the last one partly filled: what grows by copying needs its room twice."""
    _sizes: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self._sizes) // 4

    def add(self, shingles: Shingles) -> None:
        """Append the sketches of these texts."""
        new, start = sketch(shingles, self.hashes), len(self)
        while len(new):
            number, at = divmod(start, _PIECE)
            if number == len(self._pieces):
                self._pieces.append(np.empty((_PIECE, self.hashes), np.uint8))
            fits = min(len(new), _PIECE - at)
            self._pieces[number][at : at + fits] = new[:fits]
            new, start = new[fits:], start + fits
        self._sizes += shingles.counts.astype(np.uint32).tobytes()

    def at(self, places: Places) -> Sketches:
        """Shape (place, hash)."""
        found = np.empty((len(places), self.hashes), np.uint8)
        numbers = places // _PIECE
        for number in np.unique(numbers):
            here = numbers == number
            found[here] = self._pieces[number][places[here] - number * _PIECE]
        return found

    def keys(self, number: int, width: type[np.unsignedinteger]) -> Numbers:
        """The bytes of every sketch at a place, as numbers of a width, shape (text,)."""
        parts = [piece.view(width)[:, number] for piece in self._pieces]
        whole = np.concatenate([np.empty(0, width), *parts])
        return whole[: len(self)].astype(np.uint64)

    @property
    def sizes(self) -> NDArray[np.uint32]:
        """Shingles of each text, shape (text,)."""
        return np.frombuffer(self._sizes, np.uint32)

    def overlap(self, ones: Places, others: Places) -> NDArray[np.float64]:
        """Estimates of |A ∩ B| and of |A ∪ B| of each of the ones with its other, shape (2, pair).

        With J = |A ∩ B| / |A ∪ B| they are (|A| + |B|) J/(1+J) and (|A| + |B|)/(1+J).
        """
        similar = similarity(self.at(ones), self.at(others))
        both = (self.sizes[ones].astype(np.float64) + self.sizes[others]) / (1 + similar)
        return np.stack([both * similar, both])


@dataclass(slots=True)
class PromptSketches:
    """What distinct prompts say: the last turn, and apart from it all that was said before.

    Dialogues that share long beginnings, or a system's text, are no repeats while their last turns
    ask for something else.
    """

    common: Numbers | None = None
    """Sorted shingles that are left out of last turns; found in the first batch of many prompts
    unless given."""
    last: Block = field(default_factory=lambda: Block(_LAST))
    before: Block = field(default_factory=lambda: Block(_BEFORE))
    _waiting: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _characters: int = 0

    def add(self, prompt: Sequence[Message]) -> None:
        """The next prompt."""
        last = prompt[-1].content if prompt else ""
        before = "\n".join(turn.content for turn in prompt[:-1])
        self._waiting.append((last, before))
        self._characters += len(last) + len(before)
        if is_full(len(self._waiting), self._characters):
            self.flush()

    def flush(self) -> None:
        """Make the sketches of what waits: needed before they are looked at."""
        if not self._waiting:
            return
        last = shingled([last for last, _ in self._waiting])
        if self.common is None and len(self._waiting) >= _FEWEST_PROMPTS:
            self.common = _common(last)
        if self.common is not None and len(self.common):
            at = np.minimum(np.searchsorted(self.common, last.numbers), len(self.common) - 1)
            last = last.only(self.common[at] != last.numbers)
        self.last.add(last)
        self.before.add(shingled([before for _, before in self._waiting]))
        self._waiting.clear()
        self._characters = 0

    @property
    def parts(self) -> tuple[Block, Block]:
        """The last turn, and all before it."""
        return self.last, self.before

    def near(self, other: "PromptSketches") -> Compare:
        """Compares prompts of this kind with those of another."""

        def compare(ones: Places, others: Places) -> NDArray[np.bool_]:
            found = self.last.sizes[ones] + self.before.sizes[ones] > 0  # else nothing is shared
            for mine, theirs in zip(self.parts, other.parts, strict=True):
                found &= similarity(mine.at(ones), theirs.at(others)) >= NEAR
            return found

        return compare

    def bands(self) -> Bands:
        """Keys that near prompts share: four bytes of the last turn and one of before."""

        def band(number: int) -> Numbers:
            four = self.last.keys(number, np.uint32)
            return four << np.uint64(8) | self.before.keys(number, np.uint8)

        return [lambda number=number: band(number) for number in range(_LAST // 4)]


def shingled(texts: Sequence[str]) -> Shingles:
    """Neighbouring words of any number of texts, a bounded number of characters at a time."""
    parts: list[Shingles] = []
    start = characters = 0
    for number, text in enumerate(texts):
        characters += len(text)
        if characters >= _CHARACTERS_AT_ONCE or number == len(texts) - 1:
            parts.append(neighbours_of(words_of(texts[start : number + 1])))
            start, characters = number + 1, 0
    if len(parts) == 1:
        return parts[0]
    return Shingles(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )


def is_full(rows: int, characters: int) -> bool:
    """Whether so many rows of so many characters are a batch."""
    return rows >= _ROWS_AT_ONCE or characters >= 4 * _CHARACTERS_AT_ONCE


def _common(shingles: Shingles) -> Numbers:
    """What more than a quarter of the texts have, sorted."""
    order = np.lexsort((shingles.owners, shingles.numbers))
    numbers, owners = shingles.numbers[order], shingles.owners[order]
    new = np.ones(len(numbers), np.bool_)
    new[1:] = (numbers[1:] != numbers[:-1]) | (owners[1:] != owners[:-1])
    found, counts = np.unique(numbers[new], return_counts=True)
    return found[counts > _COMMON * len(shingles.counts)]
