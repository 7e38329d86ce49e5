"""Gradients: in which dtype they are summed, their global norm, and what clips them."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn


def sum_gradients_of(model: nn.Module, *, num_batches: int) -> None:
    """Have the gradients of bfloat16 weights summed in float32, where there is a sum.

    Each micro-batch's gradient is a bfloat16 number by its making. A sum of many in bfloat16 would
    lose all that is below 1/256 of it; in float32 it is exact to the last bits. The gradient of one
    micro-batch needs no sum: it stays in bfloat16, in half the memory, rounded once.

    Args:
        model: Its gradients must be none now.
        num_batches: Micro-batches of the step to come.
    """
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype == torch.bfloat16:
            parameter.grad_dtype = torch.bfloat16 if num_batches == 1 else torch.float32


def total_norm(model: nn.Module) -> Tensor:
    """() the norm of all gradients as one vector, in float32 whatever their dtype."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if all(gradient.dtype != torch.bfloat16 for gradient in gradients):
        return torch.nn.utils.get_total_norm(gradients)
    # `get_total_norm` would round each weight's norm to bfloat16.
    return joint_norm([norm_of(gradient) for gradient in gradients])


def norm_of(values: Tensor) -> Tensor:
    """() the 2-norm, summed in float32 or in the wider dtype that `values` have."""
    dtype = torch.float32 if values.dtype == torch.bfloat16 else values.dtype
    return cast(Any, torch.linalg.vector_norm)(values, dtype=dtype)


def joint_norm(norms: Sequence[Tensor]) -> Tensor:
    """() the norm of everything whose parts have these norms ()."""
    return norm_of(torch.stack(list(norms)))


def clip_factor(norm: Tensor, limit: float | None) -> Tensor | None:
    """() what gradients of this norm are multiplied by; as `clip_grads_with_norm_` has it."""
    return None if limit is None else (limit / (norm + 1e-6)).clamp(max=1.0)
