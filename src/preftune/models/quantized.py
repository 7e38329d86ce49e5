"""Frozen weights in 4 bits, as QLoRA keeps them, through bitsandbytes."""

from typing import Any, cast

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from preftune.errors import ConfigError
from preftune.errors.extras import require_extra
from preftune.models.location import first_line
from preftune.models.precision import choose_device


def in_four_bits(compute: torch.dtype) -> dict[str, Any]:
    """Arguments of `from_pretrained` for normal-float weights with scales that are quantised, too.

    Args:
        compute: The dtype in which the weights are multiplied.

    Raises:
        ConfigError: bitsandbytes is not installed (PT310).

    References:
        Dettmers et al. 2023, arXiv:2305.14314, Section 3.
    """
    require_extra("bitsandbytes", "qlora", "lora.quantize")
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    return {"quantization_config": settings, "device_map": {"": choose_device()}}


def keep_differentiable(model: PreTrainedModel) -> None:
    """Switch off bitsandbytes' layout for inference on CPUs that multiply in bfloat16.

    A layer in evaluation mode takes it on at its first forward without gradient, and from then on
    gives no gradient to what lies below it (0.50, `Linear4bit.forward`).
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            cast(Any, module).support_avx512bf16_for_cpu = False


def sum_in_four_bits(name: str) -> ConfigError:
    """What to say where 4 bits are asked of the adapter `name`."""
    return ConfigError(
        "PT400",
        "this is an adapter, and the sum of a model and an adapter can't be kept in 4 bits.",
        where=name,
        why="quantising the sum would change what the adapter learned.",
        fix="save the merged model (`preftune.models.load_model(…).save_pretrained(…)`) and name "
        "that, or leave lora.quantize out.",
    )


def unsupported(error: ImportError) -> ConfigError:
    """What to say where transformers wants a newer bitsandbytes or accelerate, or has none."""
    return ConfigError(
        "PT310",
        f"the packages for weights in 4 bits are missing or too old: {first_line(error)}",
        where="lora.quantize",
        why="transformers refuses to load the weights with them.",
        fix="pip install -U 'preftune[qlora]', or leave it out.",
    )
