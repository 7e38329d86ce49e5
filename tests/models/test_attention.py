import pytest
import torch

from preftune.batching import pack
from preftune.models.attention import CannotPackError, Packing, packed_attention
from tests.models.plain import plain_attention
from tests.models.tiny import random_groups

LAYER = torch.nn.Identity()


def dense_mask(batch, window):
    """Which key each query of the packed row may see, from the definition, one pair at a time."""
    places = [(None, None)] * len(batch.ids)
    for group, segment in enumerate(batch.segments):
        for branch, (start, end) in enumerate([segment.prompt, *segment.responses]):
            places[start:end] = [(group, branch)] * (end - start)
    positions = batch.positions.tolist()

    def sees(query, key):
        (group, branch), (other_group, other_branch) = places[query], places[key]
        distance = positions[query] - positions[key]
        return (
            group == other_group
            and other_branch in {0, branch}
            and distance >= 0
            and (window is None or distance < window)
        )

    count = len(places)
    return torch.tensor([[sees(query, key) for key in range(count)] for query in range(count)])


@pytest.mark.parametrize("window", [None, 1, 2, 5, 100])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_packed_attention_is_dense_attention_under_the_mask_of_its_definition(
    window, softcap, key_heads
):
    batch = pack(random_groups([2, 4, 1, 3]))
    generator = torch.Generator().manual_seed(1)
    query, key, value = (
        torch.randn(1, heads, len(batch.ids), width, generator=generator, dtype=torch.float64)
        for heads, width in ((4, 8), (key_heads, 8), (key_heads, 6))
    )
    inputs = [each.requires_grad_() for each in (query, key, value)]
    settings = {"scaling": 0.4, "softcap": softcap}
    found, _ = packed_attention(
        LAYER, *inputs, None, packing=Packing(batch.segments), sliding_window=window, **settings
    )
    expected, _ = plain_attention(LAYER, *inputs, dense_mask(batch, window), **settings)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    weights = torch.randn(found.shape, generator=generator, dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("setting", ["s_aux", "position_bias"])
def test_what_would_change_the_result_is_refused(setting):
    batch = pack(random_groups([2]))
    row = torch.randn(1, 2, len(batch.ids), 4)
    with pytest.raises(CannotPackError, match="sinks or position biases"):
        packed_attention(
            LAYER, row, row, row, None, packing=Packing(batch.segments), **{setting: row}
        )


def test_a_mask_of_the_models_own_is_refused():
    batch = pack(random_groups([2]))
    row = torch.randn(1, 2, len(batch.ids), 4)
    with pytest.raises(CannotPackError, match="masks of its own"):
        packed_attention(LAYER, row, row, row, row, packing=Packing(batch.segments))


def test_masks_are_made_once_for_all_layers():
    batch = pack(random_groups([2, 3]))
    packing = Packing(batch.segments)
    row = torch.randn(1, 4, len(batch.ids), 4)
    packed_attention(LAYER, row, row[:, :2], row[:, :2], None, packing=packing)
    first = packing.mask(row[:, :, :3], 9, None, 2)
    assert packing.mask(row[:, :, 3:6], 9, None, 2) is first
    assert first.shape == (6, 9)
    assert first[0].tolist() == [True] * 7 + [False] * 2


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_without_a_packing_it_is_ordinary_attention_also_under_left_padding(softcap):
    query = torch.randn(2, 4, 5, 8, dtype=torch.float64)
    key = torch.randn(2, 2, 5, 8, dtype=torch.float64)
    real = torch.tensor([[False, False, True, True, True], [True] * 5])
    mask = (torch.ones(5, 5, dtype=torch.bool).tril() & real[:, None])[:, None]
    layer = torch.nn.Identity()
    layer.num_key_value_groups = 2
    settings = {"scaling": 0.4, "softcap": softcap}
    found, _ = packed_attention(layer, query, key, key, mask, **settings)
    expected, _ = plain_attention(layer, query, key, key, mask, **settings)
    assert found[real].isfinite().all()
    torch.testing.assert_close(found[real], expected[real], rtol=0, atol=1e-13)
    causal, _ = packed_attention(layer, query, key, key, None, **settings)
    expected, _ = plain_attention(layer, query, key, key, None, **settings)
    torch.testing.assert_close(causal, expected, rtol=0, atol=1e-13)
