"""What 4-bit weights save (arXiv:2305.14314, Sections 2 and 3)."""

from collections.abc import Iterator
from typing import cast

from torch import nn

from preftune.models.architecture import output_layer, unwrap

BLOCK = 64
"""Weights that share a scale; the scales take 8 bits each."""
SUPER_BLOCK = 256
"""Scales that share a float32 scale."""


def saved_by_four_bits(model: nn.Module) -> int:
    """Bytes less than the layers' weights take in the dtype that they have in `model`."""
    output = output_layer(unwrap(model))
    saved = 0.0
    for name, module in cast(Iterator[tuple[str, nn.Module]], model.named_modules()):
        if isinstance(module, nn.Linear) and module is not output and "lora_" not in name:
            count = module.weight.numel()
            small = count * (0.5 + 1 / BLOCK + 4 / (BLOCK * SUPER_BLOCK))
            saved += module.weight.nbytes - small
    return round(saved)
