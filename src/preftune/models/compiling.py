"""torch.compile of the decoder layers: a minute at the start, fused element-wise work after it."""

from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any, cast

import torch
from torch import nn

from preftune.models.architecture import unwrap
from preftune.models.checkpointing import layers_of


def compile_layers(model: nn.Module) -> None:
    """Compile the layers of the backbone, for rows of any length, on their first call.

    Log-probs and gradients differ by rounding alone. All layers of a kind share a graph. Attention
    over the pieces of a packed row stays outside: its loop follows the data.

    Before `checkpoint_layers`, so that what is computed again is the compiled layer.

    Args:
        model: A causal language model of transformers, or one with peft adapters in its layers.
    """
    for layer in layers_of(unwrap(model)):
        cast(Any, layer).forward = MethodType(_compiled, layer)


def _compiled(layer: nn.Module, *args: Any, **settings: Any) -> Any:
    return _graph(type(layer))(layer, *args, **settings)


@cache
def _graph(kind: type[nn.Module]) -> Callable[..., Any]:
    return torch.compile(kind.forward, dynamic=True)
