from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from preftune.batching import Segment, pack
from preftune.models import varlen
from preftune.models.attention import packed_attention
from preftune.models.packing import Packing
from preftune.records import TokenGroup, TokenResponse

LAYER = torch.nn.Module()


def segments(*shapes: tuple[int, ...]) -> tuple[Segment, ...]:
    def ids(count: int) -> Any:
        return np.ones(count, np.int32)

    groups = [
        TokenGroup(
            ids(prompt), tuple(TokenResponse(ids(size), np.ones(size, bool)) for size in sizes)
        )
        for prompt, *sizes in shapes
    ]
    return pack(groups).segments


def row(heads: int, positions: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(1, heads, positions, 16, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("window", [None, 1, 3, 50])
@pytest.mark.parametrize(
    "shapes",
    [[(5, 7, 3)], [(1, 1, 1), (4, 2, 6)], [(3, 4), (2, 5, 1, 8, 2)], [(6, 0, 3), (2, 3, 0, 4)]],
)
def test_one_call_over_all_pieces_is_the_loop_over_pieces(
    window: int | None, shapes: list[tuple[int, ...]]
) -> None:
    torch.manual_seed(0)
    cut = segments(*shapes)
    positions = sum(map(sum, shapes))
    inputs = row(4, positions), row(2, positions), row(2, positions)
    expected, _ = packed_attention(
        LAYER, *inputs, None, packing=Packing(cut), sliding_window=window
    )
    found = varlen.attend(*inputs, Packing(cut), window=window, kernel=varlen.by_loop)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    slope = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, inputs, slope),
        torch.autograd.grad(expected, inputs, slope),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_scores_are_scaled_as_asked() -> None:
    torch.manual_seed(0)
    cut = segments((5, 7, 3))
    inputs = row(4, 15), row(4, 15), row(4, 15)
    expected, _ = packed_attention(LAYER, *inputs, None, packing=Packing(cut), scaling=0.7)
    found = varlen.attend(*inputs, Packing(cut), scaling=0.7, kernel=varlen.by_loop)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_kernel_is_for_graphics_cards_in_16_bits() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert not varlen.serves(row(2, 4, dtype), row(2, 4, dtype))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("window", [None, 3])
def test_the_kernel_gives_what_the_loop_gives(window: int | None) -> None:
    torch.manual_seed(0)
    cut = segments((50, 70, 30), (4, 20, 60, 10))
    heads = [torch.randn(1, n, 244, 64, device="cuda") for n in (4, 2, 2)]
    narrow = [one.bfloat16().requires_grad_() for one in heads]
    assert varlen.serves(narrow[0], narrow[2])
    found = varlen.attend(*narrow, Packing(cut), window=window)
    wide = [one.detach().float().requires_grad_() for one in narrow]
    expected = varlen.attend(*wide, Packing(cut), window=window, kernel=varlen.by_loop)
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
    slope = torch.randn_like(expected)
    found.backward(slope.bfloat16())
    expected.backward(slope)
    for one, other in zip(narrow, wide, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad.float(), other.grad, rtol=0.05, atol=0.05)
