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
    found = simultaneous(values, np.ones(2_000), all_pairs(5), reach=9, resamples=20_000)
    assert found.critical == pytest.approx(
        studentized_range.ppf(0.95, 5, np.inf) / 2**0.5, rel=0.03
    )
    one = simultaneous(values, np.ones(2_000), all_pairs(5)[:1], reach=9, resamples=20_000)
    assert one.critical == pytest.approx(1.96, rel=0.03)


def test_equal_options_are_told_apart_in_one_of_twenty_data_sets():
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        right = random.random((150, 6)) < 0.6
        found = simultaneous(right, np.ones(150), all_pairs(6), reach=1, resamples=500)
        wrong += any(one.low > 0 or one.high < 0 for one in found.estimates)
    assert 1 <= wrong <= 24


def test_a_difference_is_found_and_the_same_option_twice_is_not():
    random = np.random.default_rng(2)
    good = (random.random(400) < 0.8).astype(float)
    bad = (random.random(400) < 0.6).astype(float)
    options = np.stack([good, bad, good], 1)
    found = simultaneous(options, np.ones(400), [[1, -1, 0], [1, 0, -1]], reach=1)
    assert found.estimates[0].low > 0
    same = found.estimates[1]
    assert same.value == 0
    assert -0.01 < same.low < 0 < same.high < 0.01


def from_the_start(options):
    """Each option from its start, and every option from every other."""
    unit = np.eye(2 * options)
    return [unit[i] - unit[options + i] for i in range(options)] + [
        unit[i] - unit[j] for i in range(options) for j in range(i)
    ]


def coins(random, units, odds):
    """Options that are right by chance, a start that is right by half: DPO, which changes all."""
    return np.concatenate(
        [random.random((units, len(odds))) < odds, np.full((units, len(odds)), 0.5)], 1
    )


def few_moves(random, units, odds):
    """A start that is right in 60 %, of which options change a fifth, for better or for worse."""
    start = np.repeat(random.random((units, 1)) < 0.6, len(odds), 1)
    moved = random.random(start.shape) < 0.2
    fresh = random.random(start.shape) < 0.6
    return np.concatenate([np.where(moved, fresh, start), start], 1).astype(float)


@pytest.mark.parametrize("units", [5, 10, 20, 50])
@pytest.mark.parametrize("drawn", [coins, few_moves])
def test_without_an_effect_hardly_any_of_four_settings_is_called_better(units, drawn):
    """300 sweeps: where 5 % are wrong, the Monte Carlo error is 1.3 % (one standard error)."""
    random = np.random.default_rng(5)
    better = apart = 0
    for seed in range(300):
        sums = drawn(random, units, [0.5] * 4)
        found = simultaneous(
            sums, np.ones(units), from_the_start(4), reach=1, resamples=300, seed=seed
        )
        better += any(one.low > 0 for one in found.estimates[:4])
        apart += any(one.low > 0 or one.high < 0 for one in found.estimates)
    assert better / 300 <= 0.05
    assert apart / 300 <= 0.05 + 2 * 0.013


def test_a_real_effect_is_found_with_200_prompts():
    random = np.random.default_rng(6)
    sums = [coins(random, 200, [0.65, 0.5, 0.5, 0.5]) for _ in range(50)]
    found = [
        simultaneous(one, np.ones(200), from_the_start(4), reach=1, resamples=300) for one in sums
    ]
    assert sum(one.estimates[0].low > 0 for one in found) >= 40


@pytest.mark.parametrize("units", [2, 5, 20])
def test_units_that_agree_prove_nothing_beyond_their_number(units):
    """Every prompt improves by one half, as the two of two did: no certainty."""
    sums = np.tile([1.0, 0.5], (units, 1))
    found = simultaneous(sums, np.ones(units), [[1, -1]], reach=1).estimates[0]
    assert found.value == 0.5
    assert found.low < 0.5 < found.high
    assert (found.low > 0) == (units == 20)


def test_units_weigh_by_their_counts():
    sums, counts = [[4.0, 0.0], [0.0, 1.0]], [4, 1]
    assert simultaneous(sums, counts, [[1, 0], [0, 1]], reach=1).estimates[0].value == 0.8


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
        simultaneous(sums, np.ones(len(sums)), [[1]], reach=1)
