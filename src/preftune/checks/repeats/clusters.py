"""Which of many things belong together, without comparing each with each.

Things whose keys agree in one of several bands are candidates; candidates are compared; what is
near hangs together, over any number of steps.

References:
    Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.
"""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from preftune.checks.repeats.shingles import Numbers, Places

Compare = Callable[[Places, Places], NDArray[np.bool_]]
"""Whether each of the ones is near its other; both are indices of the same shape."""
Bands = Sequence[Callable[[], Numbers]]
"""Each gives a key for every thing; things that are near share at least one almost surely."""

_LEADERS = 4
"""Of a crowd with one key, so many are compared with all others of it, in each band."""
_AT_ONCE = 1 << 14


def clusters(bands: Bands, near: Compare) -> Places:
    """For each thing the first one that it hangs together with, shape (thing,).

    In a band the things are sorted by their key and, within it, by the next band's key. Each is
    compared with the one after it, and with the first few of its key: at most 5 times in all.

    Args:
        bands: At least one.
        near: Compares candidates.
    """
    roots = np.arange(len(bands[0]()))
    for number, band in enumerate(bands):
        keys = band()
        order = np.lexsort((bands[(number + 1) % len(bands)](), keys))
        follows = np.empty(len(keys), np.bool_)  # whether the key is that of the thing before
        follows[:1] = False
        follows[1:] = keys[order[1:]] == keys[order[:-1]]
        if not follows.any():
            continue
        at = np.flatnonzero(follows)
        roots = _joined(roots, order[at], order[at - 1], near)
        roots = _led(roots, order, follows, near)
    return roots


def matches(bands: Bands, others: Bands, near: Compare, most: int = 16) -> Places:
    """For each of one kind of things the first near one of another kind, -1 where there is none.

    Args:
        bands: Keys of the one kind.
        others: As many, with the keys of the other.
        near: Compares indices of the one kind with indices of the other.
        most: Candidates of one thing that are looked at in a band.
    """
    found = np.full(len(bands[0]()), -1, np.int64)
    for band, other in zip(bands, others, strict=True):
        keys, sought = other(), band()
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        place, end = np.searchsorted(keys, sought), np.searchsorted(keys, sought, "right")
        for step in range(most):
            left = np.flatnonzero((found < 0) & (place + step < end))
            if not len(left):
                break
            candidates = order[place[left] + step]
            right = _compared(left, candidates, near)
            found[left[right]] = candidates[right]
    return found


def connected(count: int, ones: Places, others: Places) -> Places:
    """The smallest index that each of `count` things is connected with.

    Args:
        count: Number of things.
        ones: One end of each connection, shape (connection,).
        others: The other end.
    """
    from scipy.sparse import coo_array, csgraph

    lines = coo_array((np.ones(len(ones), np.bool_), (ones, others)), shape=(count, count))
    found = cast("tuple[int, Places]", csgraph.connected_components(lines, directed=False))
    _, first, inverse = np.unique(found[1], return_index=True, return_inverse=True)
    return first[inverse]


def _led(roots: Places, order: Places, follows: NDArray[np.bool_], near: Compare) -> Places:
    """Compare every thing with the first few of its key."""
    crowd = np.cumsum(~follows) - 1
    alone = np.bincount(crowd)[crowd] == 1
    left = np.flatnonzero(~alone)
    for _ in range(_LEADERS):
        if not len(left):
            break
        _, first = np.unique(crowd[left], return_index=True)  # sorted: the first of each crowd
        lengths = np.diff(np.append(first, len(left)))
        leaders = order[np.repeat(left[first], lengths)]
        roots = _joined(roots, order[left], leaders, near)
        left = left[roots[order[left]] != roots[leaders]]
    return roots


def _joined(roots: Places, ones: Places, others: Places, near: Compare) -> Places:
    """The roots once the near ones among these candidates hang together."""
    apart = roots[ones] != roots[others]
    ones, others = ones[apart], others[apart]
    right = _compared(ones, others, near)
    if not right.any():
        return roots
    return connected(len(roots), roots[ones[right]], roots[others[right]])[roots]


def _compared(ones: Places, others: Places, near: Compare) -> NDArray[np.bool_]:
    found = np.zeros(len(ones), np.bool_)
    for start in range(0, len(ones), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = near(ones[part], others[part])
    return found
