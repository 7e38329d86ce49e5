import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.statistics import (
    bootstrap_mean,
    bootstrap_means,
    bootstrap_ratio,
    paired_difference,
)

values = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=40)


@given(values)
def test_the_value_is_the_mean_and_lies_in_its_interval(sample):
    estimate = bootstrap_mean(sample, resamples=500)
    assert estimate.value == pytest.approx(np.mean(sample))
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.n == len(sample)
    assert min(sample) - 1e-9 <= estimate.low
    assert estimate.high <= max(sample) + 1e-9


@given(values, st.floats(-50, 50), st.floats(0.1, 10))
def test_shift_and_scale_carry_over_to_the_interval(sample, shift, scale):
    plain = bootstrap_mean(sample, resamples=400, seed=3)
    moved = bootstrap_mean(np.array(sample) * scale + shift, resamples=400, seed=3)
    for end in ("value", "low", "high"):
        expected = getattr(plain, end) * scale + shift
        assert getattr(moved, end) == pytest.approx(expected, abs=1e-5)


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    sample = np.random.default_rng(0).normal(size=50)
    assert bootstrap_mean(sample, seed=1) == bootstrap_mean(sample, seed=1)
    assert bootstrap_mean(sample, seed=1) != bootstrap_mean(sample, seed=2)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """Skewed values, 60 units: a plain percentile interval would be some points too narrow."""
    random = np.random.default_rng(0)
    covered = 0
    for repeat in range(1000):
        estimate = bootstrap_mean(random.exponential(size=60), resamples=600, seed=repeat)
        covered += estimate.low <= 1 <= estimate.high
    assert 0.92 <= covered / 1000 <= 0.97  # sampling error of the share is 0.007


def test_more_confidence_is_a_wider_interval():
    sample = np.random.default_rng(0).normal(size=50)
    narrow, wide = (bootstrap_mean(sample, confidence=c) for c in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert (narrow.confidence, wide.confidence) == (0.8, 0.99)


def test_the_interval_of_normal_values_is_the_textbook_one():
    sample = np.random.default_rng(0).normal(size=400)
    estimate = bootstrap_mean(sample)
    reach = 1.96 * sample.std(ddof=1) / 20
    assert estimate.low == pytest.approx(sample.mean() - reach, abs=0.1 * reach)
    assert estimate.high == pytest.approx(sample.mean() + reach, abs=0.1 * reach)


def test_equal_values_have_an_interval_of_no_width():
    estimate = bootstrap_mean([2.0, 2.0, 2.0])
    assert (estimate.low, estimate.value, estimate.high) == (2, 2, 2)


def test_pairing_takes_out_what_both_share():
    random = np.random.default_rng(0)
    prompt = random.normal(0, 10, 100)
    before, after = prompt + random.normal(0, 0.1, 100), prompt + 1 + random.normal(0, 0.1, 100)
    estimate = paired_difference(after, before)
    assert estimate.low <= 1 <= estimate.high
    assert estimate.high - estimate.low < 0.1
    swapped = paired_difference(before, after)
    assert swapped.value == pytest.approx(-estimate.value)


def test_a_ratio_weighs_by_its_denominator():
    estimate = bootstrap_ratio([10, 30], [1, 9])
    assert estimate.value == pytest.approx(4)
    assert estimate.low >= 30 / 9 - 1e-9
    assert estimate.high <= 10 + 1e-9


def test_any_function_of_means_has_an_interval():
    columns = np.random.default_rng(0).uniform(1, 2, (200, 2))
    estimate = bootstrap_means(columns, lambda means: np.exp(means[..., 0] / means[..., 1]))
    assert estimate.value == pytest.approx(np.exp(columns[:, 0].sum() / columns[:, 1].sum()))
    assert estimate.low < np.e < estimate.high


def test_many_units_are_resampled_in_parts_with_the_same_meaning():
    sample = np.random.default_rng(0).normal(size=20_000)
    estimate = bootstrap_mean(sample, resamples=500)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 / 20_000**0.5, rel=0.15)


@pytest.mark.parametrize(
    ("sample", "settings", "message"),
    [
        ([1.0], {}, "at least two units"),
        ([], {}, "at least two units"),
        ([1.0, float("nan")], {}, "finite"),
        ([[1.0, 2.0], [3.0, 4.0]], {}, "One value per unit"),
        ([1.0, 2.0], {"confidence": 1.0}, "confidence"),
        ([1.0, 2.0], {"resamples": 0}, "resamples"),
    ],
)
def test_what_has_no_interval_is_refused(sample, settings, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(sample, **settings)


def test_pairs_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="differ in number"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="differ in number"):
        bootstrap_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="denominator"):
        bootstrap_ratio([1.0, 2.0], [1.0, 0.0])


def test_tiny_values_have_an_interval_too():
    """Cubes of 1e-110 are below the smallest float64."""
    tiny = np.array([0.0, 1.0, 2.0, 5.0]) * 1e-110
    found, plain = bootstrap_mean(tiny), bootstrap_mean(tiny * 1e110)
    assert found.low * 1e110 == pytest.approx(plain.low)
    assert found.high * 1e110 == pytest.approx(plain.high)


def test_rows_that_stand_for_many_units_give_the_interval_of_the_units():
    values = np.array([0.0, 1.0, 5.0])
    times = np.array([40, 30, 7])
    whole = bootstrap_means(np.repeat(values, times)[:, None], lambda means: means[..., 0])
    short = bootstrap_means(values[:, None], lambda means: means[..., 0], times=times)
    assert short.n == whole.n == 77
    assert short.value == pytest.approx(whole.value, abs=1e-12)
    assert (short.low, short.high) == pytest.approx((whole.low, whole.high), abs=0.03)
    for wrong in ([1, 0, 1], [1, 1]):
        with pytest.raises(ValueError, match="one unit or more"):
            bootstrap_means(values[:, None], lambda means: means[..., 0], times=wrong)
