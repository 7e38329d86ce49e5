import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.statistics import outcomes, win_rate

results = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=60)


@given(results)
def test_a_tie_counts_one_half_and_the_interval_holds_the_rate(sample):
    estimate = win_rate(sample)
    assert estimate.value == pytest.approx((sample.count(1) + sample.count(0.5) / 2) / len(sample))
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high


@given(results)
def test_losing_is_winning_seen_from_the_other_side(sample):
    estimate, other = win_rate(sample), win_rate([1 - outcome for outcome in sample])
    assert other.value == pytest.approx(1 - estimate.value)
    assert other.low == pytest.approx(1 - estimate.high)
    assert other.high == pytest.approx(1 - estimate.low)


def test_without_ties_the_interval_is_that_of_agresti_and_coull():
    """Their formula: centre (x + z²/2) / (n + z²), reach z sqrt(p (1 - p) / (n + z²))."""
    z, wins, number = 1.959964, 33, 50
    centre = (wins + z**2 / 2) / (number + z**2)
    reach = z * (centre * (1 - centre) / (number + z**2)) ** 0.5
    estimate = win_rate([1] * wins + [0] * (number - wins))
    assert estimate.low == pytest.approx(centre - reach, abs=1e-6)
    assert estimate.high == pytest.approx(centre + reach, abs=1e-6)


def test_ten_wins_of_ten_are_not_certainty():
    estimate = win_rate([1] * 10)
    assert estimate.value == estimate.high == 1
    assert 0.6 < estimate.low < 0.8


def test_ties_vary_less_than_wins_and_losses():
    tied, split = win_rate([0.5] * 100), win_rate([1] * 50 + [0] * 50)
    assert tied.value == split.value
    assert tied.high - tied.low < split.high - split.low


@pytest.mark.slow
@pytest.mark.parametrize(
    "shares", [(0.5, 0.0, 0.5), (0.3, 0.4, 0.3), (0.7, 0.2, 0.1), (0.92, 0.06, 0.02)]
)
@pytest.mark.parametrize("number", [20, 200])
def test_the_interval_covers_the_rate_as_often_as_it_says(shares, number):
    random = np.random.default_rng(0)
    truth = shares[0] + shares[1] / 2
    drawn = random.choice([1.0, 0.5, 0.0], p=shares, size=(2000, number))
    estimates = [win_rate(row) for row in drawn]
    covered = np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])
    assert 0.93 <= covered <= 0.995


def test_outcomes_are_greater_equal_smaller():
    assert outcomes([1, 2, 3], [0, 2, 4]).tolist() == [1, 0.5, 0]
    with pytest.raises(ValueError, match="differ in number"):
        outcomes([1, 2], [1])


@pytest.mark.parametrize("sample", [[], [2.0], [float("nan")], [[1.0]]])
def test_what_is_no_outcome_is_refused(sample):
    with pytest.raises(ValueError, match="utcome"):
        win_rate(sample)
    with pytest.raises(ValueError, match="confidence"):
        win_rate([1.0], confidence=0)
