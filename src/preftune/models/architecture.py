"""Where a transformers model keeps its backbone and output layer, and what it declares."""

import inspect
from dataclasses import dataclass
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

SOFTCAPS = ("final_logit_softcapping", "logits_soft_cap")
SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier")
PACKABLE_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True, slots=True)
class LogitRule:
    """What becomes of `hidden @ weight.T + bias` before the softmax."""

    softcap: float | None = None
    scale: float = 1.0


def unwrap(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside a peft model, whose adapters sit in its layers; or itself."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # pyright: ignore
    assert isinstance(inner, PreTrainedModel), f"not a transformers model: {type(model).__name__}"
    return inner


def backbone(model: PreTrainedModel) -> nn.Module:
    """Everything before the output layer: token ids to final hidden states."""
    return cast(nn.Module, model.get_decoder())


def output_layer(model: PreTrainedModel) -> nn.Linear | None:
    """The plain linear layer that makes logits; none where it is of another kind."""
    layer = cast(object, model.get_output_embeddings())
    return layer if type(layer) is nn.Linear else None


def logit_rules(model: PreTrainedModel) -> list[LogitRule]:
    """What the configuration may mean: architectures multiply or divide by their scale."""
    config = cast(Any, model.config.get_text_config())
    softcaps = [float(cap) for name in SOFTCAPS if (cap := getattr(config, name, None))]
    factors = [float(scale) for name in SCALES if (scale := getattr(config, name, None))]
    scales = dict.fromkeys([1.0, *factors, *(1 / factor for factor in factors)])
    return [LogitRule(cap, scale) for scale in scales for cap in [*softcaps, None]]


def why_not_packed(model: PreTrainedModel) -> str | None:
    """What the architecture declares that rules packed rows out; none where nothing does."""
    kind = type(model).__name__
    config = cast(Any, model.config.get_text_config())
    layers = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None)
    others = sorted(set(cast(list[str], layers or [])) - PACKABLE_LAYERS)
    if getattr(model, "_is_stateful", False):
        return f"{kind} carries a state from token to token"
    if others:
        return f"{kind} has layers of kind {', '.join(others)}"
    if not getattr(model, "_supports_attention_backend", False):
        return f"{kind} computes attention in its own way"
    return None


def takes(module: nn.Module, argument: str) -> bool:
    """Whether the module's forward has an argument of that name."""
    return argument in inspect.signature(module.forward).parameters
