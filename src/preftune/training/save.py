"""The result of a run: a folder that `AutoModelForCausalLM.from_pretrained` loads."""

import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from preftune.models.quiet import quiet
from preftune.training.folder import disk_full


def saved_dtype(origin: PreTrainedConfig) -> torch.dtype:
    """The dtype in which the start was stored, and the result will be."""
    return origin.dtype if isinstance(origin.dtype, torch.dtype) else torch.float32


def round_to(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Round the weights to the dtype of the file: what is evaluated last is what is saved."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype))


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    origin: PreTrainedConfig,
    target: Path,
) -> None:
    """Write weights (safetensors), configuration and tokenizer, whole or not at all.

    Args:
        origin: The start's configuration, written as it was: training switches dropout and the
            generation cache off in the model's own. Its dtype is that of the saved weights.

    Raises:
        ResourceError: the disk is full (PT600).
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        with quiet():
            nn.Module.to(model, dtype=saved_dtype(origin))
            model.save_pretrained(temporary)
        origin.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_full(target, error) from error
