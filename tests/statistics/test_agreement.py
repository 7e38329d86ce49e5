"""Agreement of annotators: against an independent library, a naive loop, and published values."""

import gzip
import json
import math
from itertools import combinations, permutations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preftune.statistics.agreement import (
    alpha_interval,
    fleiss_kappa,
    krippendorff_alpha,
    label_counts,
    pairwise_agreement,
    with_others,
)

counted = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=8).map(
    np.array
)


def judgements_of(counts):
    return [[label for label, times in enumerate(row) for _ in range(times)] for row in counts]


def naive_alpha(counts):
    """Every pair of judgements of a unit against every pair of judgements whatsoever."""
    units = [unit for unit in judgements_of(counts) if len(unit) > 1]
    everything = [label for unit in units for label in unit]
    observed = sum(
        sum(one != other for one, other in permutations(unit, 2)) / (len(unit) - 1)
        for unit in units
    ) / len(everything)
    number = len(everything)
    expected = sum(one != other for one, other in permutations(everything, 2))
    return 1 - observed / (expected / (number * (number - 1)))


@settings(max_examples=40)
@given(counted)
def test_alpha_is_that_of_the_library_and_of_the_naive_loop(counts):
    judged = counts[counts.sum(1) > 1]
    if np.count_nonzero(judged.sum(0)) < 2:
        assert math.isnan(krippendorff_alpha(counts))
        with pytest.raises(ValueError, match="undefined"):
            alpha_interval(counts)
        return
    alpha = krippendorff_alpha(counts)
    assert alpha == pytest.approx(naive_alpha(counts), abs=1e-12)
    theirs = krippendorff.alpha(value_counts=judged, level_of_measurement="nominal")
    assert alpha == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=40)
@given(counted)
def test_agreement_is_the_share_of_equal_pairs(counts):
    pairs = [one == other for unit in judgements_of(counts) for one, other in combinations(unit, 2)]
    found = pairwise_agreement(counts)
    assert math.isnan(found) if not pairs else found == pytest.approx(np.mean(pairs))


@settings(max_examples=40)
@given(counted)
def test_each_judgement_is_compared_with_the_others_of_its_unit(counts):
    judged = judgements_of(counts)
    units = [unit for unit, labels in enumerate(judged) for _ in labels]
    labels = [label for unit in judged for label in unit]
    if not labels:
        return
    mine, theirs = with_others(units, labels, label_counts(units, labels, 3))
    for number, (unit, label) in enumerate(zip(units, labels, strict=True)):
        others = list(judged[unit])
        others.remove(label)
        among = [one == other for one, other in combinations(others, 2)]
        expected = np.mean([other == label for other in others]) if others else math.nan
        assert mine[number] == pytest.approx(expected, nan_ok=True)
        assert theirs[number] == pytest.approx(np.mean(among) if among else math.nan, nan_ok=True)


def test_three_people_agree_on_instructions_as_published(shared):
    rows = json.loads((shared / "data/pandalm/testset-v1.json").read_text())
    labels = np.array([[row[f"annotator{n}"] for n in (1, 2, 3)] for row in rows])
    counts = label_counts(np.repeat(np.arange(len(rows)), 3), labels.ravel(), 3)
    assert pairwise_agreement(counts) == pytest.approx(0.9199, abs=5e-5)
    assert fleiss_kappa(counts) == pytest.approx(0.8642, abs=5e-5)


def crowd(shared):
    """Units, annotators, labels and topics of a quarter of the judged argument pairs."""
    with gzip.open(shared / "data/argument-crowd/judgments.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][::2][:10_000]
    return [
        np.unique([row[key] for row in rows], return_inverse=True)[1]
        for key in ("pair", "annotator", "label", "topic")
    ]


def test_a_crowd_s_alpha_is_that_of_the_library(shared):
    units, annotators, labels, topics = crowd(shared)
    counts = label_counts(units, labels, 3)
    table = np.full((annotators.max() + 1, units.max() + 1), np.nan)
    table[annotators, units] = labels
    theirs = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert np.count_nonzero(~np.isnan(table)) == len(units)  # nobody judged a pair twice
    assert krippendorff_alpha(counts) == pytest.approx(theirs, abs=1e-12)
    alone = alpha_interval(counts)
    assert alone.low < theirs < alone.high
    assert alone.n == len(counts)
    topic = np.zeros(len(counts), np.int64)
    topic[units] = topics
    together = alpha_interval(counts, topic)
    assert together.n == len(set(topics))
    # Pairs of a topic are alike: what is drawn together makes a wider interval.
    assert together.high - together.low > alone.high - alone.low


def simulated(random, units):
    """Half of all judgements show the unit's own label, the others any: alpha is 1/4."""
    own = random.integers(3, size=units)[:, None]
    labels = np.where(random.random((units, 4)) < 0.5, own, random.integers(3, size=(units, 4)))
    return label_counts(np.repeat(np.arange(units), 4), labels.ravel(), 3)


def test_the_interval_covers_the_true_value():
    random = np.random.default_rng(0)
    found = [alpha_interval(simulated(random, 150), resamples=1_000) for _ in range(120)]
    covered = np.mean([one.low <= 0.25 <= one.high for one in found])
    assert 0.89 <= covered <= 0.99


@pytest.mark.parametrize("counts", [[[1, 1], [3, 0]], [[1, 0]], np.zeros((0, 2))])
def test_kappa_needs_as_many_judgements_of_each(counts):
    with pytest.raises(ValueError, match="equally many judgements"):
        fleiss_kappa(counts)
