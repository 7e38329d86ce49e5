"""Logits that exist only block by block: some columns of the vocabulary for some of the tokens."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LazyLogits:
    """Logits of some tokens that are not made yet: `cap(scale * (hidden @ weight.T + bias))`.

    `cap(z) = softcap * tanh(z / softcap)`, as Gemma 2 has it; none without a soft cap. The matmuls
    run in autocast's dtype or the weight's, the result is float32, or float64 for float64.
    """

    hidden: Tensor
    """(token, hidden) final hidden states."""
    weight: Tensor
    """(vocab, hidden) the output layer's."""
    bias: Tensor | None = None
    """(vocab,) or none."""
    softcap: float | None = None
    """Bound of the logits, > 0, or none."""
    scale: float = 1.0
    """Factor of the logits before the cap."""

    def __getitem__(self, tokens: Tensor) -> "LazyLogits":
        """Those of some of the tokens."""
        return replace(self, hidden=self.hidden[tokens])

    def detach(self) -> "LazyLogits":
        """The same, without gradient."""
        bias = None if self.bias is None else self.bias.detach()
        return replace(self, hidden=self.hidden.detach(), weight=self.weight.detach(), bias=bias)

    def narrowed(self) -> "LazyLogits":
        """The same with hidden states in the dtype in which the matmuls run here and now."""
        return replace(self, hidden=self.hidden.to(_matmul_dtype(self.weight)))

    def block(self, columns: slice) -> "VocabBlock":
        """Some columns of narrowed logits."""
        bias = None if self.bias is None else self.bias[columns]
        weight = self.weight[columns].to(self.hidden.dtype)
        return VocabBlock(columns, self.hidden, weight, bias, self.softcap, self.scale)

    @torch.no_grad()
    def in_full(self) -> Tensor:
        """(token, vocab) all of them, without gradient."""
        return self.narrowed().block(slice(0, len(self.weight))).logits(slice(None))


@dataclass(frozen=True, slots=True, eq=False)
class VocabBlock:
    """Some rows of the output layer, that is columns of the logits, in the matmuls' dtype."""

    columns: slice
    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    softcap: float | None
    scale: float

    def logits(self, rows: slice) -> Tensor:
        """(token, vocab) of these rows and columns."""
        logits = product(self.hidden[rows], self.weight.T)
        if self.bias is not None:
            logits += self.bias
        if self.scale != 1.0:
            logits *= self.scale
        if self.softcap is not None:
            logits = logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits

    def bend(self, logits: Tensor) -> Tensor | None:
        """Slope of the cap, 1 - tanh^2, from the capped logits; none without a cap."""
        return None if self.softcap is None else 1 - (logits / self.softcap).square_()

    def find(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Which targets lie in this block, and a column (token, 1) for each, 0 for the others."""
        column = targets - self.columns.start
        inside = (column >= 0) & (column < len(self.weight))
        return inside, (column * inside)[:, None]


def slices(length: int, size: int) -> Iterator[slice]:
    """The numbers below `length` in blocks of `size`."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def wide_dtype(narrow: Tensor) -> torch.dtype:
    """Of reductions: float32, or float64 for float64."""
    return torch.float64 if narrow.dtype == torch.float64 else torch.float32


def product(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right` in float32 (float64 for float64)."""
    wide = wide_dtype(left)
    if left.is_cuda and left.dtype != wide:
        # The accumulator as it is: rounding logits to bfloat16 costs up to 0.06 nats each.
        return torch.mm(left, right, out_dtype=wide)
    return torch.mm(left, right).to(wide)


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """`total += left @ right`, in the dtype of the total."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += product(left, right)


def _matmul_dtype(weight: Tensor) -> torch.dtype:
    device = weight.device.type
    if weight.dtype != torch.float64 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return weight.dtype
