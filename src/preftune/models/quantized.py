"""Frozen weights in 4 bits, as QLoRA keeps them, through bitsandbytes."""

from typing import Any, cast

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from preftune.errors.extras import require_extra
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
