"""Adapters in a run: refused early where they don't fit, put in, and what is saved of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from preftune.models import LogProbModel, load_config
from preftune.models.adapters import add_adapters, describe, merge, skeleton
from preftune.models.architecture import unwrap
from preftune.models.location import locate
from preftune.models.quantized import sum_in_four_bits
from preftune.training.config import RunSettings

if TYPE_CHECKING:
    from peft import PeftModel

Result = Literal["adapter", "whole"]
"""What `model/` holds in the end."""


def check_lora(
    settings: RunSettings, *, trust_remote_code: bool = False, needs_weights: bool = True
) -> None:
    """Refuse adapters that the model can't take, before data or weights are read.

    Args:
        settings: Of the run.
        trust_remote_code: Run code that comes with the model.
        needs_weights: Whether a model without weights is refused, too; a plan does with its shapes.

    Raises:
        ConfigError: PT309, PT400 where an adapter should be in 4 bits, and as `load_config`.
    """
    if settings.lora is None:
        return
    config = load_config(
        settings.model, trust_remote_code=trust_remote_code, needs_weights=needs_weights
    )
    if settings.lora.quantize is not None and locate(settings.model).is_adapter:
        raise sum_in_four_bits(settings.model)
    put_adapters(skeleton(config, trust_remote_code=trust_remote_code), settings)


def put_adapters(model: PreTrainedModel, settings: RunSettings) -> nn.Module:
    """The model with the run's adapters; itself where every weight is trained."""
    lora = settings.lora
    if lora is None:
        return model
    return add_adapters(
        model,
        rank=lora.rank,
        alpha=lora.alpha,
        targets=lora.targets,
        dora=lora.dora,
        seed=settings.seed,
    )


def result_of(settings: RunSettings) -> Result:
    """An adapter, where one is trained on a plain model and nobody asked for more."""
    lora = settings.lora
    if lora is None or lora.save == "merged" or locate(settings.model).is_adapter:
        return "whole"
    return "adapter"


def sentences(settings: RunSettings, model: nn.Module, result: Result) -> list[str]:
    """What to say aloud about a run's adapters."""
    if settings.lora is None:
        return []
    said = [describe(cast("PeftModel", model))]
    if result == "whole" and settings.lora.save == "adapter":
        said.append(
            f"{settings.model} is an adapter itself: the start is its model with it merged, and a "
            "whole model will be saved."
        )
    if settings.lora.quantize is not None:
        said.append(
            f"The adapters are trained on {settings.lora.quantize} weights: over weights of more "
            "bits, the log-probs will be slightly others."
        )
    return said


def merge_as(policy: LogProbModel, saved: torch.dtype) -> None:
    """Merge the policy's adapters, each sum rounded once to the dtype in which it is saved.

    One layer after the other: float32 weights stay float32, for `round_to`; bfloat16 ones take on
    the dtype of the file, and grow only where that is float32.
    """
    model = cast("PeftModel", policy.model)
    narrow = unwrap(model).dtype == torch.bfloat16
    policy.model = merge(model, saved if narrow else None)
    if narrow and saved == torch.float32:  # layers don't multiply two dtypes without autocast
        for parameter in policy.model.parameters():
            parameter.data = parameter.data.to(saved)


def base_name(name: str) -> str:
    """How an adapter names the model below it: a folder by its absolute path."""
    return str(Path(locate(name).name).resolve()) if Path(name).expanduser().is_dir() else name
