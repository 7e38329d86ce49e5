"""The fused head: one pass over blocks of the vocabulary, never holding `[token, vocab]`.

Forward keeps running sums and picks each target's logit when its block passes; backward makes each
block again and writes each block of the weight's gradient once. Blocks of the vocabulary stay in
cache, where chunks of tokens do not.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from preftune.models.running import RunningSums
from preftune.models.vocabulary import LazyLogits, VocabBlock, add_product, slices, wide_dtype


def one_pass(
    policy: LazyLogits,
    targets: Tensor,
    collision: bool,
    reference: LazyLogits | None,
    blocks: tuple[int, int],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Log-probs, collision, KL and the reference's log-probs: each (token,), or none.

    Args:
        policy: Its hidden states, weight and bias get a gradient where they need one.
        targets: (token,) int64 ids.
        collision: Whether to compute it.
        reference: Makes the KL and the reference's log-probs; never gets a gradient.
        blocks: Columns and rows of the logits that exist at a time.
    """
    frozen = None if reference is None else reference.detach()
    rule = policy.softcap, policy.scale
    return cast(Any, _OnePass).apply(
        policy.hidden, policy.weight, policy.bias, targets, rule, collision, frozen, blocks
    )


class _OnePass(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: PLR0917
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        rule: tuple[float | None, float],
        collision: bool,
        reference: LazyLogits | None,
        blocks: tuple[int, int],
    ) -> tuple[Tensor | None, ...]:
        policy = LazyLogits(hidden, weight, bias, *rule).narrowed()
        frozen = None if reference is None else reference.narrowed()
        dtype = wide_dtype(policy.hidden)
        sums = RunningSums(targets, dtype, collision=collision, divergence=frozen is not None)
        with torch.autocast(hidden.device.type, enabled=False):
            for columns in slices(len(weight), blocks[0]):
                block = policy.block(columns)
                frozen_block = None if frozen is None else frozen.block(columns)
                for rows in slices(len(targets), blocks[1]):
                    sums.add(rows, block, frozen_block)
        _keep(ctx, policy, frozen, sums)
        ctx.blocks, ctx.hidden_dtype = blocks, hidden.dtype
        log_probs, squares, kl, frozen_log_probs = sums.results
        ctx.mark_non_differentiable(*(x for x in (squares, frozen_log_probs) if x is not None))
        ctx.set_materialize_grads(False)  # a KL that the loss leaves out costs no backward
        return log_probs, squares, kl, frozen_log_probs

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor | None, _squares: None, grad_kl: Tensor | None, _frozen: None
    ) -> tuple[Tensor | None, ...]:
        policy, frozen, slope = _kept(ctx, grad, grad_kl)
        narrow, weight, bias = policy.hidden, policy.weight, policy.bias
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        wide = slope.log_total.dtype
        grad_hidden = torch.zeros_like(narrow, dtype=wide)
        grad_weight = torch.zeros_like(weight) if need_weight else None
        grad_bias = torch.zeros_like(bias) if bias is not None and need_bias else None
        with torch.autocast(narrow.device.type, enabled=False):
            for columns in slices(len(weight), ctx.blocks[0]):
                block = policy.block(columns)
                frozen_block = None if frozen is None else frozen.block(columns)
                # Summed in `wide` over blocks of tokens: a view where the weight is that wide.
                weight_sum = None if grad_weight is None else grad_weight[columns].to(wide)
                for rows in slices(len(narrow), ctx.blocks[1]):
                    slopes = slope.of(rows, block, frozen_block)
                    factor = slopes.to(narrow.dtype)
                    if need_hidden:
                        add_product(grad_hidden[rows], factor, block.weight)
                    if weight_sum is not None:
                        add_product(weight_sum, factor.T, narrow[rows])
                    if grad_bias is not None:
                        grad_bias[columns] += slopes.sum(0)
                    del slopes, factor  # or they would be held while the next are made
                if grad_weight is not None and weight_sum is not None:
                    grad_weight[columns] = weight_sum
        kept = grad_hidden.to(ctx.hidden_dtype) if need_hidden else None
        return kept, grad_weight, grad_bias, None, None, None, None, None


@dataclass(frozen=True, slots=True, eq=False)
class _Slope:
    """The gradient of the loss in the logits, from its gradients in log-probs and KL.

    grad (onehot - p) + grad_kl (p - ref),  p and ref the softmaxes of policy and reference
    """

    targets: Tensor
    log_total: Tensor
    frozen_log_total: Tensor | None
    grad: Tensor
    grad_kl: Tensor | None

    def of(self, rows: slice, block: VocabBlock, frozen: VocabBlock | None) -> Tensor:
        """(token, vocab) in these rows and columns, before cap and scale."""
        logits = block.logits(rows)
        bend = block.bend(logits)
        grad = self.grad[rows]
        factor = -grad if self.grad_kl is None else self.grad_kl[rows] - grad
        slope = logits.sub_(self.log_total[rows][:, None]).exp_().mul_(factor[:, None])
        inside, column = block.find(self.targets[rows])
        slope.scatter_add_(1, column, (grad * inside)[:, None])
        if frozen is not None and self.frozen_log_total is not None and self.grad_kl is not None:
            share = frozen.logits(rows).to(slope.dtype)
            share = share.sub_(self.frozen_log_total[rows][:, None]).exp_()
            # Not in one operation, which rounds once: p = ref must give 0.
            slope -= share.mul_(self.grad_kl[rows][:, None])
        slope = slope if bend is None else slope.mul_(bend)
        return slope if block.scale == 1.0 else slope.mul_(block.scale)


def _keep(ctx: Any, policy: LazyLogits, frozen: LazyLogits | None, sums: RunningSums) -> None:
    ctx.rule = policy.softcap, policy.scale
    ctx.frozen_rule = None if frozen is None else (frozen.softcap, frozen.scale)
    ctx.save_for_backward(
        policy.hidden,
        policy.weight,
        policy.bias,
        *((None,) * 3 if frozen is None else (frozen.hidden, frozen.weight, frozen.bias)),
        sums.policy.targets,
        sums.policy.log_total,
        sums.reference_log_total,
    )


def _kept(
    ctx: Any, grad: Tensor | None, grad_kl: Tensor | None
) -> tuple[LazyLogits, LazyLogits | None, _Slope]:
    hidden, weight, bias, *frozen, targets, log_total, frozen_log_total = ctx.saved_tensors
    grad = torch.zeros_like(log_total) if grad is None else grad
    slope = _Slope(targets, log_total, frozen_log_total, grad, grad_kl)
    reference = None if grad_kl is None else LazyLogits(*frozen, *ctx.frozen_rule)
    return LazyLogits(hidden, weight, bias, *ctx.rule), reference, slope
