import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.repeats.clusters import clusters, connected, matches

lines = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20)


def first_reached(count, pairs):
    """By hand: everything takes the smallest index next to it until nothing changes."""
    roots = list(range(count))
    changed = True
    while changed:
        changed = False
        for one, other in pairs:
            smallest = min(roots[one], roots[other])
            changed |= roots[one] != smallest or roots[other] != smallest
            roots[one] = roots[other] = smallest
    return roots


@given(lines)
def test_what_is_connected_over_any_number_of_steps(pairs):
    ones, others = np.array(pairs, np.int64).reshape(-1, 2).T
    assert connected(12, ones, others).tolist() == first_reached(12, pairs)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_things_that_share_a_key_and_are_near_hang_together(keys):
    """Where all that share a key are near, the clusters are those of the shared keys."""
    columns = [np.array(column, np.uint64) for column in zip(*keys, strict=True)]
    found = clusters(
        [lambda column=column: column for column in columns],
        lambda ones, _: np.ones(len(ones), np.bool_),
    )
    count = len(keys)
    pairs = [
        (one, other)
        for one in range(count)
        for other in range(one)
        if keys[one][0] == keys[other][0] or keys[one][1] == keys[other][1]
    ]
    assert found.tolist() == first_reached(count, pairs)


def test_candidates_that_are_not_near_stay_apart():
    keys = np.zeros(50, np.uint64)
    found = clusters([lambda: keys], lambda ones, others: ones % 3 == others % 3)
    assert found.tolist() == [index % 3 for index in range(50)]


def test_each_thing_finds_the_first_near_one_of_the_other_kind():
    ones, others = np.array([5, 7, 9], np.uint64), np.array([9, 5, 5], np.uint64)
    found = matches([lambda: ones], [lambda: others], lambda one, other: other != 1)
    assert found.tolist() == [2, -1, 0]
