import numpy as np
import pytest
import torch

from preftune.batching import pack
from preftune.models import LogProbModel, load_model, load_tokenizer
from preftune.models.states import ches
from preftune.records import TokenGroup, TokenResponse
from tests.models.plain import KeepFloat64, with_plain_attention
from tests.models.tiny import random_groups, tiny_model

KINDS = ["llama", "qwen2", "gemma2", "gpt2", "cohere", "qwen3_moe", "mamba", "bloom"]
PADDED = {"mamba", "bloom"}


def plainly(model, groups):
    """Sums of states, lengths, log-probs and entropies: one plain forward for each response."""
    sums, lengths, log_probs, entropies = [], [], [], []
    for group in groups:
        for response in group.responses:
            ids = np.concatenate([group.prompt_ids, response.ids])
            out = model(torch.from_numpy(ids).long()[None], output_hidden_states=True)
            trained = torch.from_numpy(response.trained)
            places = slice(len(group.prompt_ids) - 1, len(ids) - 1)
            states = out.hidden_states[-1][0, places][trained]
            shares = out.logits[0, places].log_softmax(1)
            sums.append(states.sum(0))
            lengths.append(int(trained.sum()))
            picked = shares[torch.arange(len(response.ids)), torch.from_numpy(response.ids).long()]
            log_probs.append(picked * trained)
            entropies.append(-(shares.exp() * shares).sum(1) * trained)
    return torch.stack(sums), lengths, torch.cat(log_probs), torch.cat(entropies)


def compare(model, plain, groups, *, within):
    root = LogProbModel(model)
    found = root.diagnose(pack(groups))
    with torch.no_grad(), KeepFloat64():
        sums, lengths, log_probs, entropies = plainly(plain, groups)
    torch.testing.assert_close(found.states.sums, sums, rtol=within, atol=within)
    assert found.states.lengths.tolist() == lengths
    torch.testing.assert_close(found.log_probs, log_probs, rtol=0, atol=within)
    torch.testing.assert_close(found.entropy, entropies, rtol=0, atol=within)
    torch.testing.assert_close(found.log_probs, root(pack(groups)).tokens, rtol=0, atol=within)
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_a_plain_forward_for_each_response(kind):
    groups = random_groups([2, 3, 1])
    assert len({len(one.ids) for group in groups for one in group.responses}) > 3
    plain = tiny_model(kind) if kind in PADDED else with_plain_attention(tiny_model(kind))
    with KeepFloat64():
        root = compare(tiny_model(kind), plain, groups, within=1e-9)
    assert root.layout == ("padded" if kind in PADDED else "packed")


def test_states_of_a_real_model(shared):
    folder = str(shared / "models" / "stories260k")
    tokenizer = load_tokenizer(folder)

    def ids(text):
        return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], np.int32)

    def response(text):
        return TokenResponse(ids(text), np.ones(len(ids(text)), bool))

    sides = [" there was a little girl named Lily.", " a big red dog", " stone window of of"]
    groups = [
        TokenGroup(ids("Once upon a time"), tuple(map(response, sides))),
        TokenGroup(ids("Tom was sad"), (response("."), response(" and he went home."))),
    ]
    with KeepFloat64():
        model, plain = (load_model(folder).double() for _ in range(2))
        compare(model, with_plain_attention(plain), groups, within=1e-9)


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_equal_responses_have_a_ches_of_zero_and_the_length_is_the_responses_own(kind):
    first, second = random_groups([2, 2])
    same = TokenGroup(first.prompt_ids, (first.responses[0], first.responses[0]))
    root = LogProbModel(tiny_model(kind))

    def of(groups):
        states = root.diagnose(pack(groups)).states
        means = states.sums / states.lengths[:, None]
        sums = ches(states.sums[::2], states.sums[1::2])
        return sums, ches(means[::2], means[1::2])

    raw, normalised = of([same, second])
    assert abs(raw[0]) < 1e-6
    assert abs(normalised[0]) < 1e-6
    assert abs(raw[1]) > 1e-3
    # Longer neighbours change neither figure: nothing is divided by the length of a padded row.
    alone, alone_normalised = of([second])
    torch.testing.assert_close(alone[0], raw[1], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(alone_normalised[0], normalised[1], rtol=1e-6, atol=1e-6)


def test_ches_is_the_papers_difference():
    chosen, rejected = torch.randn(2, 5, 7, dtype=torch.float64)
    expected = torch.stack([a @ b - a @ a for a, b in zip(chosen, rejected, strict=True)])
    torch.testing.assert_close(ches(chosen, rejected), expected)
    nearer = ches(chosen, 0.1 * rejected + 0.9 * chosen)
    assert (nearer.abs() < expected.abs()).all()


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_a_batch_with_nothing_to_train_has_no_states(kind):
    side = TokenResponse(np.array([5, 6], np.int32), np.zeros(2, bool))
    batch = pack([TokenGroup(np.array([4], np.int32), (side,))])
    found = LogProbModel(tiny_model(kind)).diagnose(batch)
    assert found.states.lengths.tolist() == [0]
    assert not found.states.sums.any()
    assert found.entropy.tolist() == [0.0, 0.0]
