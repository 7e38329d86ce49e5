"""Texts as arrays of numbers: one for each word, for each two neighbours, for each run of n words.

All texts of a batch are worked on at once: a number costs about 5 ns a character, where splitting
and hashing in Python costs 40.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
Places = NDArray[np.int64]

MOST_CHARACTERS = 200_000
"""Of a longer text only the beginning and the end are looked at."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
_SPACE = np.uint32(0)
_ALONE = np.uint32(1 << 31)
"""Added to a character that is a word of its own."""
_FIRST_ALONE = 0x3000
"""From here on (Chinese, Japanese, Hangul, emoji) each character is a word."""
_WITHOUT_SPACES = ((0x0E00, 0x1000), (0x1000, 0x10A0), (0x1780, 0x1800))
"""Thai, Lao, Tibetan; Myanmar; Khmer: written without spaces between words."""
_OPERATORS = "+-*/=<>^%"
"""`12 + 7` and `12 - 7` are different questions."""


@dataclass(frozen=True, slots=True)
class Shingles:
    """Numbers of several texts, back to back."""

    numbers: Numbers
    """Shape (shingle,)."""
    counts: Places
    """How many of them each text has, shape (text,)."""

    @property
    def owners(self) -> Places:
        """Index of the text that each shingle is of, shape (shingle,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def only(self, keep: NDArray[np.bool_]) -> "Shingles":
        """The shingles for which `keep`, shape (shingle,), is true; texts without any stay."""
        counts = np.bincount(self.owners[keep], minlength=len(self.counts))
        return Shingles(self.numbers[keep], counts)


def words_of(texts: Sequence[str]) -> Shingles:
    """One number for each word, in order; case and punctuation play no part.

    Words are runs of letters and digits. Characters of scripts that are written without spaces,
    emoji and the signs of arithmetic are words of their own.

    Args:
        texts: Any Unicode.

    Example:
        >>> found = words_of(["Well, WELL!", "", "你好 2+2"])
        >>> found.counts.tolist(), bool(found.numbers[0] == found.numbers[1])
        ([2, 0, 5], True)
    """
    bounded = [_bounded(text) for text in texts]
    letters = _letters("".join(bounded))
    ends = np.cumsum([len(text) for text in bounded], dtype=np.int64)
    starts = letters != _SPACE
    starts[1:] &= (letters[1:] >= _ALONE) | (letters[:-1] >= _ALONE) | (letters[:-1] == _SPACE)
    borders = ends[:-1][ends[:-1] < len(letters)]
    starts[borders] = letters[borders] != _SPACE
    first = np.flatnonzero(starts)
    before = np.searchsorted(first, ends)  # words up to each text's end
    return Shingles(_hashed(letters, first), np.diff(before, prepend=0))


def neighbours_of(words: Shingles) -> Shingles:
    """One number for each two neighbours; a text's ends are neighbours of nothing.

    A text of n words has n + 1, so that another word, wherever it stands, changes two of them.
    """
    filled = words.counts > 0
    ends: Places = np.cumsum(words.counts)[filled] + np.arange(int(filled.sum()))
    padded = np.zeros(len(words.numbers) + len(ends), np.uint64)
    between = np.ones(len(padded), np.bool_)
    between[ends] = False
    padded[between] = words.numbers
    before = np.zeros_like(padded)
    before[1:] = padded[:-1]
    return Shingles(_mixed(before * _BASE + padded), words.counts + filled)


def runs_of(words: Shingles, length: int) -> Shingles:
    """One number for each run of `length` words of a text; shorter texts have none.

    Args:
        words: As `words_of` gives them.
        length: >= 1.
    """
    last = len(words.numbers) - length + 1
    if last <= 0:
        return Shingles(words.numbers[:0], np.zeros_like(words.counts))
    numbers = np.zeros(last, np.uint64)
    for offset in range(length):
        numbers = numbers * _BASE + words.numbers[offset : offset + last]
    owners = words.owners
    whole = owners[:last] == owners[length - 1 :]
    counts = np.maximum(words.counts - length + 1, 0)
    return Shingles(_mixed(numbers[whole]), counts)


def _bounded(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n{text[-half:]}"


def _letters(text: str) -> NDArray[np.uint32]:
    """A text's characters in lower case, and `_SPACE` between words."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    letters = np.take(_alphabet(), codes, mode="clip")
    high = codes >= _FIRST_ALONE
    if high.any():
        letters[high] = codes[high] + _ALONE
    return letters


def _hashed(letters: NDArray[np.uint32], first: Places) -> Numbers:
    """A polynomial of each word's letters, modulo 2^64: sum of letter x base^place."""
    if not len(first):
        return np.empty(0, np.uint64)
    powers, inverse = _powers(1 << int(len(letters) - 1).bit_length())
    sums = np.cumsum(letters * powers[: len(letters)])
    until = np.append(sums[first[1:] - 1], sums[-1])  # what follows a word adds 0
    since = np.append(np.zeros(int(first[0] == 0), np.uint64), sums[first[first > 0] - 1])
    return _mixed((until - since) * inverse[first])


def _mixed(numbers: Numbers) -> Numbers:
    """The same numbers with every bit depending on every other."""
    numbers = (numbers ^ (numbers >> _SHIFT)) * _MIX
    numbers = (numbers ^ (numbers >> _SHIFT)) * _MIX
    return numbers ^ (numbers >> _SHIFT)


@lru_cache(maxsize=2)  # a batch has a few sizes
def _powers(count: int) -> tuple[Numbers, Numbers]:
    """Powers of the base and of its inverse modulo 2^64, from the 0th on."""
    inverse = pow(int(_BASE), -1, 1 << 64)
    both: list[Numbers] = []
    for base in (int(_BASE), inverse):
        factors = np.full(count, base, np.uint64)
        factors[0] = 1
        both.append(np.cumprod(factors))
    return both[0], both[1]


@lru_cache(maxsize=1)
def _alphabet() -> NDArray[np.uint32]:
    """What each character up to the first that always stands alone is written as."""
    letters = np.full(_FIRST_ALONE + 1, _SPACE, np.uint32)
    for code in range(_FIRST_ALONE):
        character = chr(code)
        if character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M":
            letters[code] = ord(character.lower()[0])
        elif character in _OPERATORS:
            letters[code] = code + _ALONE
    for start, end in _WITHOUT_SPACES:
        spoken = letters[start:end]
        spoken[spoken != _SPACE] += _ALONE
    return letters
