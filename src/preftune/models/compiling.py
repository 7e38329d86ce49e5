"""torch.compile of the decoder layers: a minute at the start, fused element-wise work after it."""

from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any, cast

import torch
from torch import nn

from preftune.errors import ConfigError
from preftune.models.architecture import unwrap
from preftune.models.checkpointing import layers_of
from preftune.models.root import LogProbModel


def compile_layers(root: LogProbModel) -> None:
    """Compile the layers of the backbone, for rows of any length, on their first call.

    Log-probs and gradients differ by rounding alone. All layers of a kind share a graph. Attention
    over the pieces of a packed row stays outside: its loop follows the data.

    Before `checkpoint_layers`, so that what is computed again is the compiled layer.

    Args:
        root: Its layers are compiled in place; adapters in them, too.

    Raises:
        ConfigError: the architecture runs in padded rows (PT407): its state or its attention is
            its own, and compiled it may give other numbers, or fail.
    """
    if root.layout != "packed":
        raise ConfigError(
            "PT407",
            f"{type(unwrap(root.model)).__name__} can't be compiled.",
            where="compile_layers",
            why="only layers with attention that all architectures share are known to give the "
            "same when they are compiled.",
            fix="set compile_layers=false.",
        )
    for layer in layers_of(unwrap(root.model)):
        cast(Any, layer).forward = MethodType(_compiled, layer)


def _compiled(layer: nn.Module, *args: Any, **settings: Any) -> Any:
    return _graph(type(layer))(layer, *args, **settings)


@cache
def _graph(kind: type[nn.Module]) -> Callable[..., Any]:
    return torch.compile(kind.forward, dynamic=True)
