import numpy as np
import pytest

from preftune.statistics.clustered import clustered_auc
from preftune.statistics.proportions import clustered_proportion, proportion


def test_with_a_cluster_for_each_trial_the_interval_is_wilsons():
    values = np.arange(400) < 300
    plain = proportion(300, 400)
    found = clustered_proportion(values, np.arange(400))
    assert found.value == plain.value
    assert found.n == 400
    assert found.low == pytest.approx(plain.low, abs=1e-3)
    assert found.high == pytest.approx(plain.high, abs=1e-3)


def test_repeating_every_trial_changes_nothing():
    values, clusters = np.arange(60) % 3 > 0, np.arange(60)
    once = clustered_proportion(values, clusters)
    often = clustered_proportion(np.repeat(values, 7), np.repeat(clusters, 7))
    assert (often.low, often.high, often.n) == pytest.approx((once.low, once.high, once.n))


def test_equal_values_are_as_sure_as_their_clusters_are_many():
    found = clustered_proportion(np.ones(50), np.arange(50) // 5)
    assert found.value == found.high == 1
    assert 0.6 < found.low < 0.75  # of ten clusters, not of fifty trials
    assert clustered_proportion([1, 1, 1], [4, 4, 4]).low == 0


def covered(estimate_of, truth, runs=400):
    random = np.random.default_rng(0)
    found = [estimate_of(random) for _ in range(runs)]
    return np.mean([one.low <= truth <= one.high for one in found])


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_interval_covers_the_share_of_clustered_trials(share):
    def draw(random):
        sizes = random.integers(1, 8, 60)
        own = random.beta(4 * share, 4 * (1 - share), 60)  # each prompt has a share of its own
        clusters = np.repeat(np.arange(60), sizes)
        return clustered_proportion(random.random(len(clusters)) < own[clusters], clusters)

    assert 0.92 <= covered(draw, share) <= 0.98


def test_the_area_is_the_share_of_comparisons_won():
    random = np.random.default_rng(0)
    values, good = random.integers(0, 9, 80), random.random(80) < 0.4
    ups, downs = values[good][:, None], values[~good]
    expected = np.mean((ups > downs) + (ups == downs) / 2)
    assert clustered_auc(values, good, np.arange(80)).value == pytest.approx(expected)


def test_the_areas_interval_covers_it_when_units_share_clusters():
    def draw(random):
        clusters = np.repeat(np.arange(50), 4)
        good = random.random(200) < 0.5
        values = good * 1.0 + random.normal(size=200) + random.normal(size=50)[clusters]
        return clustered_auc(values, good, clusters)

    truth = 0.6914625  # Phi(1 / sqrt(4)): the difference of two such values has variance 4
    assert 0.92 <= covered(draw, truth) <= 0.98


@pytest.mark.parametrize(
    ("values", "clusters"), [([], []), ([1, 0], [1]), ([2.0], [1]), ([float("nan")], [0])]
)
def test_impossible_trials_are_refused(values, clusters):
    with pytest.raises(ValueError, match=r"One cluster|in \[0, 1\]"):
        clustered_proportion(values, clusters)


def test_an_area_needs_both_kinds():
    with pytest.raises(ValueError, match="good and bad"):
        clustered_auc([1, 2], [True, True], [0, 1])
    with pytest.raises(ValueError, match="lengths"):
        clustered_auc([1, 2], [True], [0, 1])


def test_clusters_that_are_all_alike_are_no_certainty():
    """Rounding leaves a variance of 1e-17, which is none."""
    estimate = clustered_proportion([1, 1, 0] * 3, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert estimate.high - estimate.low > 0.5
