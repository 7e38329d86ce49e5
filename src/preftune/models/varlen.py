"""Attention of a whole packed row in one call of torch's variable-length kernel: CUDA, 16 bits.

The loop over pieces in `attention.py` is exact everywhere; on a GPU it is many small launches.
"""

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.functional import scaled_dot_product_attention

from preftune.batching import Segment
from preftune.models.packing import Packing

Kernel = Callable[..., Tensor]
"""Called as `torch.nn.attention.varlen.varlen_attn` is."""

WIDEST_HEAD = 256
CLOSE = 0.05
"""Between the kernel and the loop, of outputs and gradients of size 1 or so in 16 bits."""


def serves(query: Tensor, value: Tensor) -> bool:
    """Whether the kernel takes these tensors, and gives on this device what it should."""
    narrow = query.dtype in {torch.bfloat16, torch.float16}
    fits = query.shape[-1] == value.shape[-1] <= WIDEST_HEAD and query.shape[-1] % 8 == 0
    if not (query.is_cuda and narrow and fits):
        return False
    if isinstance(query, FakeTensor):  # a plan counts memory on tensors without content
        return True
    return _agrees(query.device, query.dtype, query.shape[-1])


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    *,
    window: int | None = None,
    scaling: float | None = None,
    kernel: Kernel | None = None,
) -> Tensor:
    """Attention of all pieces of the row.

    Args:
        query: (1, head, position, width).
        key: (1, key head, position, width); key heads divide heads.
        value: (1, key head, position, width).
        packing: The row's.
        window: Number of positions seen, own included; none: all before.
        scaling: Factor of the scores; 1 / sqrt(width) by default.
        kernel: By default `torch.nn.attention.varlen.varlen_attn`.

    Returns:
        (1, position, head, width).
    """
    run = kernel or _torch_kernel()
    spans = packing.spans(query.device)
    rows = [row[0].transpose(0, 1) for row in (query, key, value)]
    output = run(
        rows[0].contiguous(),
        rows[1].index_select(0, spans.keys),
        rows[2].index_select(0, spans.keys),
        spans.query_ends,
        spans.key_ends,
        spans.longest_query,
        spans.longest_key,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output[None]


def _torch_kernel() -> Kernel:
    from torch.nn.attention.varlen import varlen_attn

    return cast(Kernel, varlen_attn)


def by_loop(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_ends: Tensor,
    key_ends: Tensor,
    _longest_query: int,
    _longest_key: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Tensor:
    """What the kernel should give, one piece after the other: slow, on any device and dtype.

    Arguments and result are those of `torch.nn.attention.varlen.varlen_attn`, causal.
    """
    outputs: list[Tensor] = []
    ends = cast(list[list[int]], [query_ends.tolist(), key_ends.tolist()])
    bounds = zip(*ends, strict=True)
    start, first = next(bounds)
    for end, last in bounds:
        queries, keys = end - start, last - first
        seen = torch.ones(queries, keys, dtype=torch.bool, device=query.device)
        seen = seen.tril(keys - queries)
        if window_size[0] >= 0:
            seen = seen.triu(keys - queries - window_size[0])
        pieces = [query[start:end], key[first:last], value[first:last]]
        heads = [piece.transpose(0, 1)[None] for piece in pieces]
        found = scaled_dot_product_attention(
            *heads, attn_mask=seen, scale=scale, enable_gqa=enable_gqa
        )
        outputs.append(found[0].transpose(0, 1))
        start, first = end, last
    return torch.cat(outputs)


@cache
def _agrees(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether kernel and loop give the same, forward and backward, tried once.

    Raises:
        torch.OutOfMemoryError: which says nothing about the kernel.
    """
    packing = Packing([Segment((0, 5), ((5, 12), (12, 15))), Segment((15, 17), ((17, 21),))])
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randn(1, heads, 21, width, generator=draw) for heads in (4, 2, 2)]
    rows = [row.to(device, dtype).requires_grad_() for row in rows]
    try:
        found = _with_gradients(rows, packing, None)
        expected = _with_gradients(rows, packing, by_loop)
        return all(
            torch.allclose(one, other, rtol=CLOSE, atol=CLOSE)
            for one, other in zip(found, expected, strict=True)
        )
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError):
        return False  # an older kernel, or a device or a width that it was not built for


@torch.enable_grad()
def _with_gradients(rows: list[Tensor], packing: Packing, kernel: Kernel | None) -> list[Tensor]:
    query, key, value = rows
    with torch.autocast(query.device.type, enabled=False):
        output = attend(query, key, value, packing, window=6, kernel=kernel)
        gradients = torch.autograd.grad(output.square().sum(), rows)
    return [one.detach().float() for one in (output, *gradients)]
