"""Several processes as one: each runs its share of a step, and the sums are everybody's."""

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Item = TypeVar("Item")


def count() -> int:
    """How many processes there are: 1 unless a process group was opened."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(items: Sequence[Item]) -> Sequence[Item]:
    """This process's part of what all have to do: every `count()`-th item."""
    return items if count() == 1 else items[dist.get_rank() :: count()]


def add_up(*tensors: Tensor | None) -> None:
    """Replace each tensor by its sum over all processes, which must call this alike."""
    if count() > 1:
        for tensor in tensors:
            if tensor is not None:
                dist.all_reduce(tensor)


def add_up_gradients(model: nn.Module) -> None:
    """The gradient of all processes' shares in each of them."""
    if count() == 1:
        return
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter, dtype=parameter.grad_dtype)
            dist.all_reduce(parameter.grad)
