import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from preftune.batching import pack
from preftune.records import Relation, TokenGroup, TokenResponse

ids = st.lists(st.integers(0, 99), min_size=1, max_size=6)


@st.composite
def responses(draw):
    tokens = draw(ids)
    trained = draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    return TokenResponse(np.array(tokens, np.int32), np.array(trained, bool))


@st.composite
def token_groups(draw):
    sides = tuple(draw(st.lists(responses(), min_size=1, max_size=4)))
    relations = (Relation(len(sides) - 1, 0, 0.75),) if len(sides) > 1 else ()
    return TokenGroup(np.array(draw(ids), np.int32), sides, relations, source="f:1")


@given(st.lists(token_groups(), min_size=1, max_size=5))
def test_a_packed_row_spells_every_prompt_and_response(groups):
    """Reading each token through the bookkeeping gives back the conversation it stands in."""
    batch = pack(groups)
    assert len(batch.ids) == sum(group.length for group in groups)
    flat = [side for group in groups for side in group.responses]
    owner = [index for index, group in enumerate(groups) for _ in group.responses]
    assert batch.group.tolist() == owner
    for number, side in enumerate(flat):
        mine = (batch.response == number).nonzero().flatten()
        prompt = groups[owner[number]].prompt_ids
        assert batch.targets[mine].tolist() == side.ids.tolist()
        assert batch.mask[mine].tolist() == side.trained.tolist()
        before = batch.ids[batch.predictor[mine]].tolist()
        assert before == [int(prompt[-1]), *side.ids[:-1].tolist()]
        assert batch.positions[batch.predictor[mine]].tolist() == [
            len(prompt) - 1 + offset for offset in range(len(side.ids))
        ]


@given(st.lists(token_groups(), min_size=1, max_size=5))
def test_segments_cover_the_row_in_order(groups):
    batch = pack(groups)
    cursor = 0
    for segment, group in zip(batch.segments, groups, strict=True):
        assert segment.prompt == (cursor, cursor + len(group.prompt_ids))
        cursor = segment.prompt[1]
        for (start, stop), side in zip(segment.responses, group.responses, strict=True):
            assert (start, stop) == (cursor, cursor + len(side.ids))
            cursor = stop
    assert cursor == len(batch.ids)


@given(st.lists(token_groups(), min_size=1, max_size=5))
def test_relations_point_at_responses_of_their_group(groups):
    batch = pack(groups)
    judged = [index for index, group in enumerate(groups) if group.relations]
    judgements = batch.judgements
    assert batch.group[judgements["winner"]].tolist() == judged
    assert batch.group[judgements["loser"]].tolist() == judged
    if judged:
        assert judgements["strength"].tolist() == [0.75] * len(judged)


def test_moving_a_batch_keeps_its_parts():
    side = TokenResponse(np.array([3], np.int32), np.array([True]))
    batch = pack([TokenGroup(np.array([1], np.int32), (side,), source="here")]).to("cpu")
    assert torch.equal(batch.ids, torch.tensor([1, 3]))
    assert batch.sources == ("here",)
