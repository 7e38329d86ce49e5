"""Log-probs of given tokens without ever holding `[token, vocab]`.

The vocabulary is walked in blocks. Forward keeps a running log-sum-exp and picks each target's
logit when its block passes; backward makes each block again and writes each block of the weight's
gradient once. Blocks of the vocabulary stay in cache, where chunks of tokens do not.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

VOCAB_BLOCK = 8192
TOKEN_BLOCK = 2048
"""With more tokens than this a block of the vocabulary is walked in parts: 64 MiB of logits."""


def token_log_probs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    softcap: float | None = None,
    scale: float = 1.0,
    vocab_block: int = VOCAB_BLOCK,
    token_block: int = TOKEN_BLOCK,
) -> Tensor:
    """Log p(target) under `softmax(cap(scale * (hidden @ weight.T + bias)))`, in nats.

    `cap(z) = softcap * tanh(z / softcap)`, as Gemma 2 has it; none without a soft cap. The matmuls
    run in autocast's dtype or the weight's; reductions in float32, or float64 for float64.

    Args:
        hidden: (token, hidden) final hidden states.
        weight: (vocab, hidden) the output layer's.
        targets: (token,) int64 ids.
        bias: (vocab,) or none.
        softcap: Bound of the logits, > 0, or none.
        scale: Factor of the logits before the cap.
        vocab_block: Columns of the logits that exist at a time.
        token_block: Rows of the logits that exist at a time.

    Returns:
        (token,) float32 or float64, differentiable in `hidden`, `weight` and `bias`.
    """
    return cast(Any, _TokenLogProbs).apply(
        hidden, weight, bias, targets, softcap, scale, (vocab_block, token_block)
    )


def log_probs_of_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """(token,) the same from logits (token, vocab) that a model made itself."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return wide.gather(1, targets[:, None]).squeeze(1) - wide.logsumexp(1)


class _TokenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: PLR0917
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        softcap: float | None,
        scale: float,
        blocks: tuple[int, int],
    ) -> Tensor:
        narrow = hidden.to(_matmul_dtype(weight))
        wide = _wide_dtype(narrow)
        log_total = torch.full(targets.shape, -torch.inf, dtype=wide, device=hidden.device)
        picked = torch.zeros_like(log_total)
        with torch.autocast(hidden.device.type, enabled=False):
            for part in _vocab_blocks(weight, bias, narrow.dtype, blocks[0]):
                for rows in _slices(len(targets), blocks[1]):
                    logits = part.logits(narrow[rows], softcap, scale)
                    log_total[rows] = torch.logaddexp(log_total[rows], logits.logsumexp(1))
                    inside, column = part.find(targets[rows])
                    found = logits.gather(1, column).squeeze(1)
                    picked[rows] = torch.where(inside, found, picked[rows])
        ctx.save_for_backward(narrow, weight, bias, targets, log_total)
        ctx.settings = softcap, scale, blocks, hidden.dtype
        return picked - log_total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        narrow, weight, bias, targets, log_total = ctx.saved_tensors
        softcap, scale, blocks, hidden_dtype = ctx.settings
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        wide = log_total.dtype
        grad_hidden = torch.zeros_like(narrow, dtype=wide)
        grad_weight = torch.zeros_like(weight) if need_weight else None
        grad_bias = torch.zeros_like(bias) if need_bias else None
        with torch.autocast(narrow.device.type, enabled=False):
            for part in _vocab_blocks(weight, bias, narrow.dtype, blocks[0]):
                # Summed in `wide` over blocks of tokens: a view where the weight is that wide.
                weight_sum = None if grad_weight is None else grad_weight[part.columns].to(wide)
                for rows in _slices(len(targets), blocks[1]):
                    logits = part.logits(narrow[rows], softcap, scale)
                    # d cap / dz = 1 - tanh^2
                    bend = None if softcap is None else 1 - (logits / softcap).square_()
                    slope = part.slope(logits, targets[rows], log_total[rows], grad[rows])
                    slope = slope if bend is None else slope.mul_(bend)
                    slope = slope if scale == 1.0 else slope.mul_(scale)
                    factor = slope.to(narrow.dtype)
                    if need_hidden:
                        _add_product(grad_hidden[rows], factor, part.weight)
                    if weight_sum is not None:
                        _add_product(weight_sum, factor.T, narrow[rows])
                    if grad_bias is not None:
                        grad_bias[part.columns] += slope.sum(0)
                if grad_weight is not None and weight_sum is not None:
                    grad_weight[part.columns] = weight_sum
        kept = grad_hidden.to(hidden_dtype) if need_hidden else None
        return kept, grad_weight, grad_bias, None, None, None, None


class _VocabBlock:
    """Some rows of the output layer, that is columns of the logits, in the matmuls' dtype."""

    def __init__(self, columns: slice, weight: Tensor, bias: Tensor | None) -> None:
        self.columns, self.weight, self.bias = columns, weight, bias

    def logits(self, hidden: Tensor, softcap: float | None, scale: float) -> Tensor:
        logits = _product(hidden, self.weight.T)
        if self.bias is not None:
            logits += self.bias
        if scale != 1.0:
            logits *= scale
        if softcap is not None:
            logits = logits.div_(softcap).tanh_().mul_(softcap)
        return logits

    def find(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Which targets lie in this block, and a column (token, 1) for each, 0 for the others."""
        column = targets - self.columns.start
        inside = (column >= 0) & (column < len(self.weight))
        return inside, (column * inside)[:, None]

    def slope(self, logits: Tensor, targets: Tensor, log_total: Tensor, grad: Tensor) -> Tensor:
        """`grad * (onehot(target) - softmax)` in this block's columns, in place of the logits."""
        slope = logits.sub_(log_total[:, None]).exp_().mul_(-grad[:, None])
        inside, column = self.find(targets)
        return slope.scatter_add_(1, column, (grad * inside)[:, None])


def _vocab_blocks(
    weight: Tensor, bias: Tensor | None, dtype: torch.dtype, size: int
) -> Iterator[_VocabBlock]:
    for columns in _slices(len(weight), size):
        part = None if bias is None else bias[columns]
        yield _VocabBlock(columns, weight[columns].to(dtype), part)


def _slices(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _matmul_dtype(weight: Tensor) -> torch.dtype:
    device = weight.device.type
    if weight.dtype != torch.float64 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return weight.dtype


def _wide_dtype(narrow: Tensor) -> torch.dtype:
    return torch.float64 if narrow.dtype == torch.float64 else torch.float32


def _product(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right` in float32 (float64 for float64)."""
    wide = _wide_dtype(left)
    if left.is_cuda and left.dtype != wide:
        # The accumulator as it is: rounding logits to bfloat16 costs up to 0.06 nats each.
        return torch.mm(left, right, out_dtype=wide)
    return torch.mm(left, right).to(wide)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += _product(left, right)
