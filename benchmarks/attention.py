"""Attention of a piece on a CPU: torch's kernel against matmuls written out, forward and backward.

    python benchmarks/attention.py [--heads 9] [--key-heads 3] [--width 64]

Prints CPU milliseconds of one thread, the least of several runs, for causal pieces of several
lengths. The written-out version walks blocks of queries, keeps log-sum-exp and makes the scores
again in the backward pass, as a flash kernel does, with every product a matmul of the library.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

BLOCKS = (32, 64, 128, 256)
"""Queries in a block."""


class WrittenOut(torch.autograd.Function):
    """softmax(q k^T / sqrt(width)) v, causal, for key heads that are shared by several heads."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
        shared, folds, length, width = query.shape
        output = torch.empty_like(query)
        total = query.new_empty(shared, folds, length)
        for start in range(0, length, block):
            end = min(length, start + block)
            scores = _scores(query, key, start, end)
            largest = scores.amax(-1, keepdim=True)
            scores.sub_(largest).exp_()
            norm = scores.sum(-1, keepdim=True)
            found = torch.bmm(scores.view(shared, -1, end), value[:, :end])
            output[:, :, start:end] = found.view(shared, folds, -1, width) / norm
            total[:, :, start:end] = (largest + norm.log()).squeeze(-1)
        ctx.save_for_backward(query, key, value, output, total)
        ctx.block = block
        return output

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, output, total = ctx.saved_tensors
        shared, folds, length, width = query.shape
        grads = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        delta = (slope * output).sum(-1)
        for start in range(0, length, ctx.block):
            end = min(length, start + ctx.block)
            rows = slice(start, end)
            shares = _scores(query, key, start, end).sub_(total[:, :, rows, None]).exp_()
            shares = shares.view(shared, -1, end)
            out = slope[:, :, rows].reshape(shared, -1, width)
            grads[2][:, :end].baddbmm_(shares.transpose(1, 2), out)
            inner = torch.bmm(out, value[:, :end].transpose(1, 2))
            inner.sub_(delta[:, :, rows].reshape(shared, -1, 1)).mul_(shares).mul_(width**-0.5)
            grads[0][:, :, rows] = torch.bmm(inner, key[:, :end]).view(shared, folds, -1, width)
            asked = query[:, :, rows].reshape(shared, -1, width)
            grads[1][:, :end].baddbmm_(inner.transpose(1, 2), asked)
        return *grads, None


def _scores(query: Tensor, key: Tensor, start: int, end: int) -> Tensor:
    """(key head, fold, query, key) of a block of queries, -inf where later keys are."""
    shared, folds, _, width = query.shape
    asked = query[:, :, start:end].reshape(shared, -1, width) * width**-0.5
    scores = torch.bmm(asked, key[:, :end].transpose(1, 2)).view(shared, folds, -1, end)
    later = torch.ones(end - start, end - start, dtype=torch.bool).triu(1)
    scores[..., start:].masked_fill_(later, -math.inf)
    return scores


def milliseconds(run: Callable[[], object], rounds: int = 12) -> float:
    """CPU time of the fastest of several runs."""
    taken: list[float] = []
    for _ in range(rounds + 2):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken[2:]) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--heads", type=int, default=9)
    parser.add_argument("--key-heads", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("length  torch" + "".join(f"  blocks of {block}" for block in BLOCKS))
    for length in (190, 320, 600):
        times = measured(length, given.heads, given.key_heads, given.width)
        print(f"{length:>6}" + "".join(f"{one:>7.2f}" for one in times))


def measured(length: int, heads: int, key_heads: int, width: int) -> list[float]:
    """Milliseconds of torch's kernel, then of the written-out version by size of its blocks."""
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(1, heads, length, width, generator=draw).requires_grad_()
    key, value = (
        torch.randn(1, key_heads, length, width, generator=draw).requires_grad_() for _ in range(2)
    )
    slope = torch.randn(1, heads, length, width, generator=draw)

    def by_torch() -> Tensor:
        return scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)

    def by_hand(block: int) -> Tensor:
        folded = query[0].view(key_heads, -1, length, width)
        return WrittenOut.apply(folded, key[0], value[0], block).view_as(query)

    torch.testing.assert_close(by_hand(64), by_torch(), rtol=1e-4, atol=1e-4)
    times = [milliseconds(lambda: by_torch().backward(slope))]
    return times + [milliseconds(lambda b=block: by_hand(b).backward(slope)) for block in BLOCKS]


if __name__ == "__main__":
    main()
