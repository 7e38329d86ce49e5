"""Circles in what was preferred to what."""

from collections import deque
from collections.abc import Sequence
from typing import cast

import numpy as np

from preftune.checks.shingles import Places


def cyclic(count: int, winners: Places, losers: Places) -> Places:
    """For each thing a number of the strongly connected part that it is in, -1 where it is alone.

    What is preferred to what within such a part lies on a circle; nothing else does.

    Args:
        count: Number of things.
        winners: Index of what was preferred, shape (preference,).
        losers: Index of what it was preferred to.
    """
    from scipy.sparse import coo_array, csgraph

    lines = coo_array((np.ones(len(winners), np.bool_), (winners, losers)), shape=(count, count))
    found = cast(
        "tuple[int, Places]",
        csgraph.connected_components(lines, directed=True, connection="strong"),
    )
    parts = found[1].astype(np.int64)
    alone = np.bincount(parts, minlength=1) == 1
    return np.where(alone[parts], -1, parts) if count else parts


def one_cycle(winners: Sequence[int], losers: Sequence[int]) -> list[int]:
    """The preferences of a shortest circle through the first one, in order, as indices.

    Args:
        winners: Of preferences within one strongly connected part.
        losers: As many.

    Example:
        >>> one_cycle([0, 1, 2, 1], [1, 2, 0, 3])
        [0, 1, 2]
    """
    after: dict[int, list[int]] = {}
    for number, winner in enumerate(winners):
        after.setdefault(winner, []).append(number)
    goal = winners[0]
    came: dict[int, int] = {losers[0]: 0}  # by which preference each thing was reached first
    waiting = deque([losers[0]])
    while waiting and goal not in came:
        for number in after.get(waiting.popleft(), ()):
            if losers[number] not in came:
                came[losers[number]] = number
                waiting.append(losers[number])
    circle = [came[goal]]
    while circle[-1] != 0:
        circle.append(came[winners[circle[-1]]])
    return circle[::-1]
