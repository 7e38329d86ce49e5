"""Steps, micro-batches and layouts, counted by hand."""

import numpy as np

from preftune.records import TokenGroup, TokenResponse
from preftune.training.plan.workload import workload
from preftune.training.prepare import Prepared
from tests.training.plan.cases import settings_of


def group(prompt, *responses):
    def ids(count):
        return np.arange(count, dtype=np.int32)

    sides = tuple(TokenResponse(ids(n), np.ones(n, bool)) for n in responses)
    return TokenGroup(ids(prompt), sides, source=f"{prompt} {responses}")


def test_every_token_of_the_run_is_counted_once_for_each_time_it_is_seen():
    data = Prepared([group(10, 5, 3), group(4, 2, 2), group(6, 1, 1)], [group(7, 2, 1)], {})
    work = workload(settings_of(**{"optimizer.pairs_per_step": 3, "optimizer.epochs": 2}), data)
    assert (work.steps, work.micro_batches, work.num_batches) == (2, 2, 1)
    assert work.tokens == 2 * (18 + 8 + 8)
    assert work.unshared_tokens == 2 * (15 + 13 + 6 + 6 + 7 + 7)
    assert work.padded_tokens == 2 * 6 * 15
    assert work.held_out_tokens == 10
    assert work.reference_tokens == 18 + 8 + 8 + 10
    assert work.response_tokens == 8 + 4 + 2 + 3
    assert work.saved_by_sharing == 1 - 34 / 54
    assert work.padding == 1 - 54 / 90


def test_the_fullest_micro_batch_is_found_with_its_step():
    groups = [group(2, 1, 1) for _ in range(7)] + [group(30, 5, 5)]
    settings = settings_of(
        **{"optimizer.pairs_per_step": 4, "tokens_per_batch": 44, "optimizer.epochs": 1}
    )
    work = workload(settings, Prepared(groups, [], {}))
    assert work.steps == 2
    assert sum(one.length for one in work.fullest) == 44
    assert groups[7] in work.fullest
    assert work.micro_batches == 3
    assert work.num_batches == 2
