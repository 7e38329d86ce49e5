import numpy as np
import pytest

from preftune.errors import ConfigError, DataError
from preftune.models import LogProbModel, load_model
from preftune.models.features import prompt_features
from preftune.records import Rating, TokenGroup, TokenResponse
from preftune.training.density import LIMITS, match_prompts
from preftune.training.runfile import resolve


@pytest.fixture(scope="module")
def model(tiny_model):
    return LogProbModel(load_model(str(tiny_model), dtype="float32"))


def group(prompt, good):
    response = TokenResponse(np.array([7], np.int32), np.ones(1, bool), Rating(good=good))
    return TokenGroup(np.array(prompt, np.int32), (response,))


def topics(shares, count=300):
    """Prompts of two topics (token 20 or 90); `shares` says how often good and bad have the first.

    The topic decides everything: the density ratio is known.
    """
    draw = np.random.default_rng(0)
    made = []
    for good, share in zip((True, False), shares, strict=True):
        for place in range(count):
            token = 20 if place < share * count else 90
            made.append(group([token] * int(draw.integers(1, 4)), good))
    return made


def test_weights_are_the_density_ratio(model):
    """Good 0.6 / 0.4, bad 0.3 / 0.7: ratios 2 and 0.571, but for the ridge's pull to 1."""
    made = topics((0.6, 0.3))
    found = match_prompts(model, made, seed=0, tokens_per_batch=64).groups
    weights = {20: set(), 90: set()}
    for before, after in zip(made, found, strict=True):
        good = before.responses[0].rating.good
        if good:
            assert after.weight == 1
        else:
            weights[int(before.prompt_ids[0])].add(after.weight)
    assert np.mean(list(weights[20])) == pytest.approx(2.0, rel=0.1)
    assert np.mean(list(weights[90])) == pytest.approx(0.571, rel=0.1)


def test_the_ratio_does_not_depend_on_how_many_of_each_there_are(model):
    made = topics((0.6, 0.3))
    fewer = made[:300] + made[300::3]
    sizes: list[float] = []
    for part in (made, fewer):
        found = match_prompts(model, part, seed=0, tokens_per_batch=64).groups
        first = [one for one in found if one.prompt_ids[0] == 20]
        sizes.append(np.mean([one.weight for one in first if not one.responses[0].rating.good]))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_weights_are_clipped(model):
    made = topics((1.0, 0.05))
    weights = [one.weight for one in match_prompts(model, made, seed=0, tokens_per_batch=64).groups]
    assert min(weights) == LIMITS[0]
    assert max(weights) == LIMITS[1]


def test_what_has_no_effect_is_refused(model):
    both = group([20], good=True)
    pair = TokenGroup(both.prompt_ids, both.responses * 2)
    with pytest.raises(DataError, match="a good and a bad response already"):
        match_prompts(model, [pair], seed=0, tokens_per_batch=64)
    with pytest.raises(DataError, match="all thumbs are of one kind"):
        match_prompts(model, [both], seed=0, tokens_per_batch=64)
    with pytest.raises(ConfigError, match="does not learn from them"):
        resolve(None, {"model": "m", "data": "d", "objective": "dpo", "data.match_prompts": True})


def test_features_do_not_depend_on_the_padding(model):
    prompts = [np.array(ids, np.int32) for ids in ([20, 30, 40, 50, 60], [90], [7, 8])]
    together = prompt_features(model, prompts, tokens_per_batch=64)
    alone = prompt_features(model, prompts, tokens_per_batch=1)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
