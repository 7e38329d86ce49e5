"""Circles in what was preferred to what."""

from collections import deque
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from preftune.checks.repeats.shingles import Places


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


def against(winners: Places, losers: Places) -> NDArray[np.bool_]:
    """Which preferences, once left out, leave no circle: few of them where most agree.

    Things are put in order by how much more often they won than lost; a preference goes against
    it where the winner does not stand above the loser. In a plain circle all stand alike, and
    every preference does. (The order by wins needs at most five times the fewest preferences of
    a tournament: Coppersmith, Fleischer and Rudra 2010, arXiv:cs/0507066.)

    Example:
        >>> against(np.array([0, 1, 2]), np.array([1, 2, 0])).tolist()
        [True, True, True]
        >>> against(np.array([0, 0, 1, 1, 2]), np.array([1, 1, 2, 2, 0])).tolist()
        [False, False, False, False, True]
    """
    count = int(max(winners.max(initial=-1), losers.max(initial=-1))) + 1
    lead = np.bincount(winners, minlength=count) - np.bincount(losers, minlength=count)
    return lead[winners] <= lead[losers]


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
