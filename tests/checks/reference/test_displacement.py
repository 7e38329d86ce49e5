import numpy as np
import pytest

from preftune.checks.reference.displacement import apart_of
from scripts.docs.displacement import measures, read, trained


def test_distance_is_relative_to_that_of_responses_to_other_prompts():
    random = np.random.default_rng(0)
    chosen, rejected = random.normal(size=(2, 50, 8))
    rejected[:10] = chosen[:10] + 0.01 * rejected[:10]
    prompts = np.arange(50)
    apart = apart_of(chosen, rejected, prompts)
    assert apart[:10].max() < 0.01
    assert 0.7 < np.median(apart[10:]) < 1.3
    np.testing.assert_allclose(apart_of(7 * chosen + 3, 7 * rejected + 3, prompts), apart)
    # Pairs of one prompt say nothing about responses to different ones.
    assert np.isinf(apart_of(chosen, rejected, np.zeros(50, int))).all()
    assert np.isinf(apart_of(chosen[:1], rejected[:1], prompts[:1])).all()


@pytest.mark.slow
def test_pairs_that_are_alike_are_displaced_and_others_less(shared):
    """The log has the figures: LN-CHES does not tell these apart, the distance does."""
    model = str(shared / "models" / "stories260k")
    data = str(shared / "data" / "polite-pairs" / "instruction-data-with-preference.json")
    readings = read(model, data, 200)
    order = np.argsort(measures(readings)["-apart"])
    groups = [one.group for one in readings.sample]
    far, near = (
        trained(model, [groups[index] for index in some], steps=10, lr=1e-3)
        for some in (order[:24], order[-24:])
    )
    for changes in (far, near):
        assert (changes[:, 0] > changes[:, 1]).all(), "the preference is learnt either way"
    assert (near[:, 0] < 0).mean() > (far[:, 0] < 0).mean() + 0.2
    assert near[:, 0].mean() < far[:, 0].mean() - 10
