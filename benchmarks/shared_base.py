"""Do n adapters train faster when their rows share the matmuls of the base? CPU seconds a pair.

    OMP_NUM_THREADS=1 python benchmarks/shared_base.py [--adapters 4] [--layers 6] [--turns 5]

After the first adapted layer the activations of n adapters differ, so what the base computes of
one says nothing of another: only the embedding could be computed once. What is left is to stack
the rows of n adapters into one matmul with the base's weights, each adapter's own rows in a batched
one. Both ways are timed in alternation, forward and backward, on the linear layers of the 135M
shape (d 576, MLP 1,536, 9 heads, 3 for keys; the number of layers changes both alike): attention,
norms and the head see the same rows in both, and are left out.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

HIDDEN, WIDE, KEYS, RANK = 576, 1536, 192, 16
TOKENS_PER_PAIR = 215
SHAPES = [
    *((HIDDEN, width) for width in (HIDDEN, KEYS, KEYS, HIDDEN, WIDE, WIDE)),
    (WIDE, HIDDEN),
]
"""(in, out) of q, k, v, o, gate, up, down."""


class Layer(nn.Module):
    """A frozen linear layer and n adapters: rows of shape (adapter, token, in)."""

    def __init__(self, rows_in: int, rows_out: int, adapters: int) -> None:
        super().__init__()
        self.base = nn.Linear(rows_in, rows_out, bias=False).requires_grad_(False)
        self.a = nn.Parameter(torch.randn(adapters, rows_in, RANK) * 0.02)
        self.b = nn.Parameter(torch.randn(adapters, RANK, rows_out) * 0.02)

    def stacked(self, x: Tensor) -> Tensor:
        return self.base(x) + torch.bmm(torch.bmm(x, self.a), self.b)

    def alone(self, x: Tensor, adapter: int) -> Tensor:
        return self.base(x) + (x @ self.a[adapter]) @ self.b[adapter]


class Block(nn.Module):
    """The linear layers of one transformer layer, chained so that each needs its gradient."""

    def __init__(self, adapters: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(*shape, adapters) for shape in SHAPES)

    def forward(self, x: Tensor, adapter: int | None) -> Tensor:
        def run(at: int, rows: Tensor) -> Tensor:
            layer = self.layers[at]
            return layer.stacked(rows) if adapter is None else layer.alone(rows, adapter)

        q, k, v = (run(at, x) for at in range(3))
        x = x + run(3, q + torch.cat([k, v, k], -1))
        return x + run(6, nn.functional.silu(run(4, x)) * run(5, x))


def step(blocks: list[Block], x: Tensor, adapter: int | None) -> Tensor:
    for block in blocks:
        x = nn.functional.rms_norm(block(x, adapter), (HIDDEN,))
    return x.square().mean((-1, -2)).sum()


def in_turn(blocks: list[Block], x: Tensor, adapters: int) -> None:
    for adapter in range(adapters):
        step(blocks, x, adapter).backward()


def stacked(blocks: list[Block], x: Tensor, adapters: int) -> None:
    step(blocks, x.expand(adapters, -1, -1).contiguous(), None).backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    blocks = [Block(given.adapters) for _ in range(given.layers)]
    x = torch.randn(given.pairs * TOKENS_PER_PAIR, HIDDEN)
    check(blocks, x, given.adapters)
    times: dict[str, list[float]] = {"in turn": [], "stacked": []}
    for turn in range(given.turns + 1):
        for name, run in (("in turn", in_turn), ("stacked", stacked)):
            start = time.process_time()
            run(blocks, x, given.adapters)
            if turn:  # the first warms up
                times[name].append(time.process_time() - start)
    for name, seconds in times.items():
        each = statistics.median(seconds) / given.pairs / given.adapters
        spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
        print(f"{name:8} {each * 1000:7.2f} ms CPU a pair and adapter   (a turn {spread} s)")
    ratio = statistics.median(times["in turn"]) / statistics.median(times["stacked"])
    print(f"in turn / stacked: {ratio:.3f}   {given.adapters} adapters, {given.layers} layers")


def check(blocks: list[Block], x: Tensor, adapters: int) -> None:
    """Both ways give the same gradients."""
    in_turn(blocks, x, adapters)
    parameters = [p for block in blocks for p in block.parameters() if p.requires_grad]
    first = [p.grad.clone() for p in parameters if p.grad is not None]
    for p in parameters:
        p.grad = None
    stacked(blocks, x, adapters)
    for p, before in zip(parameters, first, strict=True):
        torch.testing.assert_close(p.grad, before, rtol=1e-3, atol=1e-6)


if __name__ == "__main__":
    main()
