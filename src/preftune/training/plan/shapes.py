"""The model of a run without its weights, at any depth: tensors that only know their shapes.

What a training step does runs on it as on the real one, by the same code, so that what it would
hold in memory is counted instead of being foreseen by formulas.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from preftune.models.architecture import unwrap, why_not_packed
from preftune.models.attention import PACKED, register
from preftune.models.checkpointing import checkpoint_layers
from preftune.models.load import DTYPES, WeightDtype, remove_dropout
from preftune.models.quiet import quiet
from preftune.models.scoring import Layout
from preftune.training.config import RunSettings
from preftune.training.lora import put_adapters


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """A model to be run with `fake` active."""

    model: nn.Module
    """With adapters where the run has some."""
    layout: Layout
    """As the architecture declares it; the run itself also tries it out."""
    fake: FakeTensorMode
    twin: Tensor | None
    """The output embedding, where it and the input's are one in the run."""

    @property
    def inner(self) -> PreTrainedModel:
        """The transformers model."""
        return unwrap(self.model)


def depth_of(config: PreTrainedConfig) -> int:
    """Number of layers."""
    return int(cast(Any, config.get_text_config()).num_hidden_layers)


def shapes_of(
    config: PreTrainedConfig,
    settings: RunSettings,
    *,
    depth: int,
    dtype: WeightDtype,
    device: torch.device,
    trust_remote_code: bool = False,
) -> Shapes:
    """The first `depth` layers of an architecture, as the run would train them.

    Input and output embeddings are two, also where the architecture ties them: the dense gradient
    of the one beside that of the other takes what adding both up takes.

    Args:
        config: Of the start.
        settings: Adapters and activation checkpointing are taken from them.
        depth: Layers, at least one.
        dtype: Of the weights.
        device: Where the run would be: kernels differ, and what they keep.
        trust_remote_code: Run code that comes with the model.
    """
    register()
    with quiet(), no_init_weights(), torch.device("meta"):
        made = cast(Any, AutoModelForCausalLM).from_config(
            _at_depth(config, depth), dtype=DTYPES[dtype], trust_remote_code=trust_remote_code
        )
        inner = cast(PreTrainedModel, made)
        inner.config.use_cache = False
        remove_dropout(inner)
        layout: Layout = "padded" if why_not_packed(inner) else "packed"
        if layout == "packed":
            inner.set_attn_implementation(PACKED)
        model = put_adapters(inner.eval(), settings)
    if settings.checkpoint_activations is True:
        checkpoint_layers(model)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake:
        _as_on(device, model)
    twin = cast(nn.Linear | None, inner.get_output_embeddings()) if _is_tied(config) else None
    return Shapes(model, layout, fake, None if twin is None else twin.weight)


def _at_depth(config: PreTrainedConfig, depth: int) -> PreTrainedConfig:
    """The configuration of a shallower model: what is listed layer by layer is cut, too."""
    shallow = deepcopy(config)
    text = cast(Any, shallow.get_text_config())
    layers = depth_of(config)
    for name, value in list(cast(dict[str, Any], vars(text)).items()):
        if isinstance(value, list) and len(cast(list[Any], value)) == layers:
            setattr(text, name, value[:depth])
    text.num_hidden_layers = depth
    text.tie_word_embeddings = shallow.tie_word_embeddings = False
    return shallow


def _as_on(device: torch.device, model: nn.Module) -> None:
    """Exchange `meta` tensors for fake ones of the device: kernels differ from device to device."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            empty = torch.empty_like(parameter, device=device)
            setattr(module, name, nn.Parameter(empty, parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty_like(buffer, device=device))


def _is_tied(config: PreTrainedConfig) -> bool:
    return bool(getattr(config.get_text_config(), "tie_word_embeddings", False))
