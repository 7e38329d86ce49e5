import numpy as np
import pytest
import torch

from preftune.batching import pack
from preftune.models.padded import MOST_PADDING, padded_rows
from preftune.records import TokenGroup, TokenResponse
from tests.models.tiny import random_groups


def test_rows_hold_prompt_and_response_and_point_at_the_predictors():
    groups = random_groups([2, 4, 1, 3], seed=4)
    batch = pack(groups)
    seen = []
    for rows in padded_rows(batch):
        for token, row, column in zip(
            rows.tokens.tolist(), rows.row.tolist(), rows.column.tolist(), strict=True
        ):
            # The place after the predictor holds the token itself.
            assert rows.ids[row, column + 1] == batch.targets[token]
            response = int(batch.response[token])
            group = groups[int(batch.group[response])]
            side = group.responses[response - int((batch.group < batch.group[response]).sum())]
            start = len(group.prompt_ids)
            assert rows.ids[row, :start].tolist() == group.prompt_ids.tolist()
            assert rows.ids[row, start : start + len(side.ids)].tolist() == side.ids.tolist()
        seen += rows.tokens.tolist()
    assert sorted(seen) == batch.mask.nonzero().squeeze(1).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_chunks_are_mostly_tokens(seed):
    groups = random_groups([2] * 12, seed=seed)
    lengths = [
        len(group.prompt_ids) + len(side.ids) for group in groups for side in group.responses
    ]
    chunks = list(padded_rows(pack(groups)))
    assert 1 < len(chunks) < len(lengths)
    assert sum(len(rows.ids) for rows in chunks) == len(lengths)
    assert sum(lengths) >= (1 - MOST_PADDING) * sum(rows.ids.numel() for rows in chunks)


def test_responses_with_nothing_to_train_are_not_run():
    prompt = np.array([5, 6], np.int32)
    context = TokenResponse(np.array([7, 8], np.int32), np.zeros(2, bool))
    trained = TokenResponse(np.array([9], np.int32), np.ones(1, bool))
    (rows,) = padded_rows(pack([TokenGroup(prompt, (context, trained))]))
    assert rows.ids.tolist() == [[5, 6, 9]]
    assert rows.tokens.tolist() == [2]
    assert rows.column.tolist() == [1]
    assert not list(padded_rows(pack([TokenGroup(prompt, (context,))])))
    assert rows.ids.dtype == torch.int64
