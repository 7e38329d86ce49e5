from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.batching.mismatch import with_mismatched
from preftune.errors import DataError
from preftune.records import TokenGroup, TokenResponse


def group(prompt, response, source=""):
    ids = np.array(response, np.int32)
    return TokenGroup(
        np.array(prompt, np.int32), (TokenResponse(ids, np.ones(len(ids), bool)),), source=source
    )


prompts = st.lists(st.integers(0, 3), min_size=2, max_size=12)


@given(prompts, st.integers(0, 5))
def test_every_prompt_gets_a_response_to_another_one(numbers, seed):
    made = [
        group([10 + number], [100 + number], str(place)) for place, number in enumerate(numbers)
    ]
    if len(set(numbers)) == 1:
        with pytest.raises(DataError, match="same prompt"):
            with_mismatched(made, seed=seed, limit=9)
        return
    found = with_mismatched(made, seed=seed, limit=9)
    for before, after in zip(made, found, strict=True):
        assert after.responses[:-1] == before.responses
        lent = after.responses[-1]
        assert lent.mismatched
        assert lent.ids[0] - 100 != before.prompt_ids[0] - 10
    assert [one.source for one in found] == [one.source for one in made]


def test_who_lends_depends_on_seed_and_data_alone():
    made = [group([number], [number, number]) for number in range(30)]
    first, second = (with_mismatched(made, seed=1, limit=9) for _ in range(2))
    other = with_mismatched(made, seed=2, limit=9)
    lent = [[one.responses[-1].ids[0] for one in found] for found in (first, second, other)]
    assert lent[0] == lent[1] != lent[2]
    assert sorted(lent[0]) == list(range(30))  # without repeated prompts: each lends once


def test_good_and_bad_responses_are_lent_alike():
    """Only chosen ones would overrate how far the policy has moved."""
    made = [group([number], [0]) for number in range(200)]
    bad = TokenResponse(np.array([1], np.int32), np.ones(1, bool))
    pairs = [replace(one, responses=(*one.responses, bad)) for one in made]
    found = with_mismatched(pairs, seed=0, limit=9)
    share = np.mean([one.responses[-1].ids[0] for one in found])
    assert 0.4 < share < 0.6


def test_prompt_and_response_stay_within_the_limit():
    made = [group(range(6), range(3)), group(range(1, 3), range(9))]
    found = with_mismatched(made, seed=0, limit=8)
    assert [len(one.responses[-1].ids) for one in found] == [2, 3]
    assert [len(one.responses[-1].trained) for one in found] == [2, 3]
