from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.reference.economics import Economics

row = st.tuples(st.integers(1, 40), st.lists(st.integers(1, 30), min_size=2, max_size=4))


def padded_plainly(sequences):
    """Batches of eight pairs, that is sixteen rows, each as long as the longest."""
    batches = [sequences[start : start + 8] for start in range(0, len(sequences), 8)]
    return sum(max(map(max, batch)) * sum(map(len, batch)) for batch in batches)


@given(st.lists(row, min_size=1, max_size=30), st.data())
def test_padded_tokens_are_those_of_batches_of_eight_pairs(rows, data):
    economics = Economics()
    pairs_seen = []
    for prompt, responses in rows:
        every = list(permutations(range(len(responses)), 2))
        pairs = data.draw(st.lists(st.sampled_from(every), max_size=3))
        economics.see(prompt, responses, pairs)
        lone = [(prompt + response,) for response in responses]
        pairs_seen += [(prompt + responses[a], prompt + responses[b]) for a, b in pairs] or lone
    saved = economics.saved
    figure = economics.figure()
    assert figure["padded"] == padded_plainly(pairs_seen)
    assert figure["separate"] == sum(map(sum, pairs_seen))
    assert figure["packed"] == sum(prompt + sum(responses) for prompt, responses in rows)
    assert figure["saved"] == round(saved, 4) == round(1 - figure["packed"] / figure["padded"], 4)


def test_nothing_seen_saves_nothing():
    assert Economics().figure() == {
        "padded": 0,
        "separate": 0,
        "packed": 0,
        "saved": 0.0,
        "pairs_per_batch": 8,
    }
