"""Optimiser moments in 8 bits: blocks of 256 numbers over their largest, by a dynamic map.

Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", arXiv:2110.02861. The map is a
tree: some bits say the power of ten, the others divide that decade evenly, so that a block may hold
numbers from 1 down to 10^-7.
"""

from functools import cache

import torch
from torch import Tensor

BLOCK = 256
"""Numbers that share a scale."""
DECADES = 7


def num_blocks(count: int) -> int:
    """Scales that `count` numbers need."""
    return -(-count // BLOCK)


def dynamic_map(*, signed: bool) -> Tensor:
    """(256,) float32 what each code stands for, rising, up to 1.

    The decade from 10^(k-1) to 10^k is cut into equal parts, twice as many as the decade below; a
    number is the middle of a part. 0 and 1 are added, and with `signed` every number's negative.

    >>> dynamic_map(signed=False)[:4]
    tensor([0.0000e+00, 3.2500e-07, 7.7500e-07, 2.1250e-06])
    """
    values = [0.0, 1.0]
    for decade in range(DECADES):
        parts = 2**decade if signed else 2 ** (decade + 1)
        edges = torch.linspace(0.1, 1, parts + 1, dtype=torch.float64)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (decade - DECADES + 1)
        values += middles.tolist()
        values += (-middles).tolist() if signed else []
    assert len(values) == 256
    return torch.tensor(sorted(values), dtype=torch.float32)


@cache
def _map_on(device: torch.device, signed: bool) -> Tensor:
    return dynamic_map(signed=signed).to(device)


@cache
def _codes_on(device: torch.device, signed: bool) -> Tensor:
    """(65536,) uint8 the nearest code of every float16, in the order of its bits as an int16.

    A look-up is far faster than a search, and float16 far finer than the map.
    """
    bits = torch.arange(-(1 << 15), 1 << 15).to(torch.int16)
    values = bits.view(torch.float16).float().nan_to_num(0.0)
    known = dynamic_map(signed=signed)
    codes = torch.bucketize(values, (known[:-1] + known[1:]) / 2)
    if not signed:  # with 0 for a second moment the step would be divided by eps alone
        codes = codes.clamp(min=1)
    return codes.to(torch.uint8).to(device)


def quantise(values: Tensor, codes: Tensor, scales: Tensor, *, signed: bool) -> None:
    """Write `values` as codes: value = scale of its block * map[code], rounded to the nearest.

    Without a sign nothing but a block of zeros becomes 0: what is smaller than the map's smallest
    number is rounded up to it.

    Args:
        values: (n,) float32; >= 0 unless `signed`.
        codes: (n,) uint8, overwritten.
        scales: (blocks,) float32, overwritten with the largest magnitude of each block.
        signed: Whether values may be negative.
    """
    blocks = _padded(values)
    torch.amax(blocks.abs(), 1, out=scales)
    shares = blocks / torch.where(scales > 0, scales, 1.0)[:, None]
    places = shares.half().view(torch.int16).int().add_(1 << 15).view(-1)[: len(values)]
    torch.index_select(_codes_on(values.device, signed), 0, places, out=codes)


def dequantise(codes: Tensor, scales: Tensor, *, signed: bool) -> Tensor:
    """(n,) float32 what the codes stand for; arguments as of `quantise`."""
    values = _map_on(codes.device, signed).index_select(0, codes.int())
    blocks = _padded(values).mul_(scales[:, None])
    return blocks.view(-1)[: len(codes)]


def _padded(values: Tensor) -> Tensor:
    """(block, 256) with zeros behind the last; the same memory where nothing is missing."""
    missing = -len(values) % BLOCK
    whole = torch.nn.functional.pad(values, (0, missing)) if missing else values
    return whole.view(-1, BLOCK)
