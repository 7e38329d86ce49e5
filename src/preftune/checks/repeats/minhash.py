"""MinHash: how much two texts have in common, from a few bytes of each."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from preftune.checks.repeats.shingles import Places, Shingles

Sketches = NDArray[np.uint8]
"""Shape (text, hash): the lowest byte of the smallest value of each hash function."""

MOST_SHINGLES = 2_000
"""Of a text with more, from half as many to so many are drawn by their hash: the same ones from
equal texts."""
_BY_CHANCE = 1 / 256
"""How often two unequal values have the same lowest byte."""
_SHINGLES_AT_ONCE = 1 << 14  # what stays in the processor's second cache


def sketch(shingles: Shingles, hashes: int) -> Sketches:
    """The sketches of several texts. A text without shingles has a sketch of 255s.

    Args:
        shingles: Of each text.
        hashes: Bytes of a sketch. Similarities estimated from n bytes have a standard error of
            about √(J(1-J)/n).

    References:
        Broder 1997, "On the resemblance and containment of documents".
        Li and König 2010, "b-bit minwise hashing", arXiv:0910.3349; here b = 8.
    """
    found = np.full((len(shingles.counts), hashes), 255, np.uint8)
    drawn = _drawn(shingles)
    values = (np.right_shift(drawn.numbers, np.uint64(32))).astype(np.uint32)
    filled = np.flatnonzero(drawn.counts)
    first: Places = (np.cumsum(drawn.counts) - drawn.counts)[filled]
    factors = _factors(hashes)
    start = 0
    while start < len(filled):  # some texts at a time, at least one
        limit = int(first[start]) + _SHINGLES_AT_ONCE
        end = max(start + 1, int(np.searchsorted(first, limit)))
        stop = first[end] if end < len(filled) else len(values)
        part, at = values[first[start] : stop], first[start:end] - first[start]
        product = np.empty_like(part)
        smallest = np.empty((hashes, len(at)), np.uint32)
        for number, factor in enumerate(factors):
            np.multiply(part, factor, out=product)
            np.minimum.reduceat(product, at, out=smallest[number])
        found[filled[start:end]] = (smallest & 255).T.astype(np.uint8)
        start = end
    return found


def similarity(ones: Sketches, others: Sketches) -> NDArray[np.float64]:
    """Estimated Jaccard similarities |A ∩ B| / |A ∪ B| of the texts, row by row, in [0, 1].

    Two texts without shingles are equal; one without and one with have nothing in common but
    by chance.

    Args:
        ones: Shape (pair, hash).
        others: Shape (pair, hash).
    """
    equal = (ones == others).mean(-1)
    return np.clip((equal - _BY_CHANCE) / (1 - _BY_CHANCE), 0.0, 1.0)


def _drawn(shingles: Shingles) -> Shingles:
    """All shingles of a short text, and of a long one those with the smallest numbers."""
    many = shingles.counts > MOST_SHINGLES
    if not many.any():
        return shingles
    # Shares of powers of two, so that texts of like length are drawn alike and stay comparable.
    over = np.maximum(shingles.counts / MOST_SHINGLES, 1.0)
    share = 2.0 ** -np.ceil(np.log2(over))
    limits = np.repeat(share, shingles.counts)
    return shingles.only(shingles.numbers.astype(np.float64) <= limits * 2.0**64)


@lru_cache(maxsize=8)
def _factors(hashes: int) -> list[np.uint32]:
    """Odd factors: multiplied by one of them, numbers modulo 2^32 are in another order."""
    random = np.random.default_rng(0)
    return [np.uint32(value | 1) for value in random.integers(1 << 32, size=hashes)]
