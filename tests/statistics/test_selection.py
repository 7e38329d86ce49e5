"""The best of several: intervals that hold at once, and a value without the winner's luck."""

import numpy as np
import pytest
from scipy.stats import studentized_range

from preftune.statistics.selection import chosen_elsewhere, simultaneous


def all_pairs(number):
    return [np.eye(number)[i] - np.eye(number)[j] for i in range(number) for j in range(i)]


def test_the_critical_value_of_independent_options_is_tukeys():
    """Max-t over all differences of independent normal means: the studentised range / sqrt 2."""
    values = np.random.default_rng(0).normal(size=(2_000, 5))
    found = simultaneous(values, np.ones(2_000), all_pairs(5), resamples=20_000)
    assert found.critical == pytest.approx(
        studentized_range.ppf(0.95, 5, np.inf) / 2**0.5, rel=0.03
    )
    one = simultaneous(values, np.ones(2_000), all_pairs(5)[:1], resamples=20_000)
    assert one.critical == pytest.approx(1.96, rel=0.03)


def test_equal_options_are_told_apart_in_one_of_twenty_data_sets():
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        right = random.random((150, 6)) < 0.6
        found = simultaneous(right, np.ones(150), all_pairs(6), resamples=500)
        wrong += any(one.low > 0 or one.high < 0 for one in found.estimates)
    assert 1 <= wrong <= 24


def test_a_difference_is_found_and_the_same_option_twice_is_not():
    random = np.random.default_rng(2)
    good = (random.random(400) < 0.8).astype(float)
    bad = (random.random(400) < 0.6).astype(float)
    found = simultaneous(np.stack([good, bad, good], 1), np.ones(400), [[1, -1, 0], [1, 0, -1]])
    assert found.estimates[0].low > 0
    assert (found.estimates[1].low, found.estimates[1].high) == (0, 0)


def test_units_weigh_by_their_counts():
    sums, counts = [[4.0, 0.0], [0.0, 1.0]], [4, 1]
    assert simultaneous(sums, counts, [[1, 0], [0, 1]]).estimates[0].value == 0.8


def test_the_winners_luck_is_taken_off():
    """Twenty options that are all right in 60 % of the cases: the best looks better than it is."""
    random = np.random.default_rng(3)
    best, honest = [], []
    for seed in range(30):
        right = (random.random((200, 20)) < 0.6).astype(float)
        best.append(right.mean(0).max())
        honest.append(chosen_elsewhere(right, np.ones(200), resamples=200, seed=seed).value)
    assert np.mean(best) > 0.65
    assert np.mean(honest) == pytest.approx(0.6, abs=0.02)


def test_one_option_keeps_its_value():
    right = (np.random.default_rng(4).random((300, 1)) < 0.7).astype(float)
    assert chosen_elsewhere(right, np.ones(300)).value == pytest.approx(right.mean(), abs=0.005)


@pytest.mark.parametrize("sums", [[[1.0]], [[1.0], [np.nan]]])
def test_what_has_no_interval_is_refused(sums):
    with pytest.raises(ValueError, match=r"units|finite"):
        simultaneous(sums, np.ones(len(sums)), [[1]])
