import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.contradictions.cycles import against, cyclic, one_cycle

preferences = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda one: one[0] != one[1]),
    unique=True,
    max_size=20,
)


def reachable(pairs):
    """By hand: what lies below what, over any number of steps."""
    below = set(pairs)
    for _ in range(8):
        below |= {(a, d) for a, b in below for c, d in below if b == c}
    return below


@given(preferences)
def test_a_preference_is_inside_a_part_when_a_way_leads_back(pairs):
    winners, losers = np.array(pairs, np.int64).reshape(-1, 2).T
    parts = cyclic(8, winners, losers)
    below = reachable(pairs)
    for one, other in pairs:
        inside = parts[one] == parts[other] and parts[one] >= 0
        assert inside == ((other, one) in below)


@given(preferences)
def test_a_circle_leads_back_to_its_start_and_passes_nothing_twice(pairs):
    winners, losers = np.array(pairs, np.int64).reshape(-1, 2).T
    parts = cyclic(8, winners, losers)
    for part in set(parts.tolist()) - {-1}:
        at = [
            place for place, (one, other) in enumerate(pairs) if parts[one] == parts[other] == part
        ]
        inner = [pairs[place] for place in at]
        circle = [inner[step] for step in one_cycle(*zip(*inner, strict=True))]
        assert circle[0] == inner[0]
        assert [other for _, other in circle] == [one for one, _ in (*circle[1:], circle[0])]
        assert len({one for one, _ in circle}) == len(circle)


def test_a_long_circle_is_no_deep_recursion():
    count = 20_000
    winners = np.arange(count)
    parts = cyclic(count, winners, (winners + 1) % count)
    assert len(set(parts.tolist())) == 1
    assert len(one_cycle(winners.tolist(), ((winners + 1) % count).tolist())) == count


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30).map(
        lambda pairs: [(one, other) for one, other in pairs if one != other]
    )
)
def test_without_those_against_the_order_no_circle_is_left(pairs):
    winners = np.array([one for one, _ in pairs], np.int64)
    losers = np.array([other for _, other in pairs], np.int64)
    bad = against(winners, losers)
    left = cyclic(7, winners[~bad], losers[~bad])
    assert (left < 0).all()


def test_one_judgement_against_a_hundred_is_the_one_to_leave_out():
    order = [(one, other) for one in range(15) for other in range(one + 1, 15)]
    winners, losers = np.array([*order, (14, 0)]).T
    assert (cyclic(15, winners, losers) == 0).all()  # everything is part of some circle
    assert np.flatnonzero(against(winners, losers)).tolist() == [len(order)]
