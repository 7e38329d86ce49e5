"""bfloat16 weights whose float32 values are exact: the other 16 bits are kept beside them.

    bits(float32) = 2^16 bits(bfloat16) + low,  low in [-2^15, 2^15)

The bfloat16 weight is the float32 rounded half up (away from zero), `low` what rounding took away,
as an int16. Together they take the 4 bytes of the float32, and no update is too small to be kept.
"""

import torch
from torch import Tensor, nn

HALF = 1 << 15
"""Half a unit of the upper 16 bits."""


def whole(weight: Tensor) -> Tensor:
    """The `low` of weights that are bfloat16 numbers exactly: zeros."""
    return torch.zeros_like(weight, dtype=torch.int16)


def join(weight: Tensor, low: Tensor, out: Tensor, spare: Tensor) -> None:
    """Put together the float32 numbers of which `split` made these halves.

    Whatever has two integer types or strides would be several times slower than these copies.

    Args:
        weight: (n,) bfloat16.
        low: (n,) int16.
        out: (n,) float32, overwritten.
        spare: (n,) int32, overwritten.
    """
    out.copy_(weight)
    spare.copy_(low)
    out.view(torch.int32).add_(spare)


def split(master: Tensor, weight: Tensor, low: Tensor) -> None:
    """Take float32 numbers apart: `join` gives the same bits again, whatever they are.

    Args:
        master: (n,) float32; used up.
        weight: (n,) bfloat16, overwritten with `master` rounded.
        low: (n,) int16, overwritten with the rest.

    Example:
        >>> weight, low = torch.empty(1, dtype=torch.bfloat16), torch.empty(1, dtype=torch.int16)
        >>> split(torch.tensor([1.001]), weight, low)
        >>> weight, low  # low counts units of 2^-23 here
        (tensor([1.], dtype=torch.bfloat16), tensor([8389], dtype=torch.int16))
    """
    bits = master.view(torch.int32)
    low.copy_(bits)  # the lower half; its upper bit, the sign, says that the weight is rounded up
    bits.add_(HALF).bitwise_right_shift_(16)
    weight.view(torch.int16).copy_(bits)


def to_float32(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give a model its weights in float32, with all the bits that the optimiser keeps.

    For the end of a run: the optimiser's state is given up on the way, so no more memory is needed.

    Args:
        model: With trainable bfloat16 weights; one without stays as it is.
        optimizer: What trained it.
    """
    trained = [p for p in model.parameters() if p.requires_grad and p.dtype == torch.bfloat16]
    if not trained:
        return
    for parameter in trained:
        state = optimizer.state.pop(parameter, {})
        weight = parameter.detach().view(-1)
        low = state["low"].view(-1) if "low" in state else whole(weight)
        master = torch.empty_like(weight, dtype=torch.float32)
        join(weight, low, master, torch.empty_like(weight, dtype=torch.int32))
        parameter.grad = None
        parameter.data = master.view(parameter.shape)
    model.float()  # what is frozen, too: layers don't multiply two dtypes
