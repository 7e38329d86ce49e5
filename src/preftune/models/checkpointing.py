"""Activation checkpointing: a layer keeps its input alone and runs again in the backward pass."""

from collections.abc import Callable, Iterator
from functools import partial
from types import MethodType
from typing import Any, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from preftune.errors import ConfigError
from preftune.models.architecture import backbone, unwrap


def checkpoint_layers(model: nn.Module) -> None:
    """Make every layer of the backbone keep nothing but its input for the backward pass.

    Exact: the layer is computed again with the same arguments. Forwards without gradient run as
    before, at no cost. About a third more work in a training step.

    transformers' own switch wants layers in training mode, which would bring dropout back and which
    any `eval()` undoes. Here each layer's `forward` is replaced by a method bound to that layer, so
    that copies of the model checkpoint layers of their own, and hooks of the layers run once.

    Args:
        model: A causal language model of transformers, or one with peft adapters in its layers.

    Raises:
        ConfigError: the architecture does not say which of its modules are layers (PT405).

    References:
        Chen et al. 2016, arXiv:1604.06174.
    """
    inner = unwrap(model)
    layers = layers_of(inner)
    if not layers:
        raise ConfigError(
            "PT405",
            f"{type(inner).__name__} does not say which of its modules can be computed again.",
            where="checkpoint_activations",
            why="activations would all be kept, whatever the setting says.",
            fix="set checkpoint_activations=false, and tokens_per_batch smaller to save memory.",
        )
    for layer in layers:
        forward = partial(_checkpointed, cast(MethodType, layer.forward).__func__)
        cast(Any, layer).forward = MethodType(forward, layer)


def layers_of(model: PreTrainedModel) -> list[nn.Module]:
    """The layers of the backbone that can be computed again, in order."""
    return list(_outermost_layers(backbone(model)))


def _outermost_layers(module: nn.Module) -> Iterator[GradientCheckpointingLayer]:
    for child in module.children():
        if isinstance(child, GradientCheckpointingLayer):
            yield child
        else:
            yield from _outermost_layers(child)


def _checkpointed(
    forward: Callable[..., Any], layer: nn.Module, *args: Any, **settings: Any
) -> Any:
    run = partial(forward, layer)
    if not torch.is_grad_enabled():
        return run(*args, **settings)
    # Nothing in a layer is random: dropout is switched off wherever models are scored.
    again = cast(Any, checkpoint)
    return again(run, *args, use_reentrant=False, preserve_rng_state=False, **settings)
