"""The result of a run: a folder that `AutoModelForCausalLM.from_pretrained` loads."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from preftune.models.adapters import TRAINED
from preftune.models.quiet import quiet
from preftune.training.folder import disk_full

if TYPE_CHECKING:
    from peft import PeftModel


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
        model: The policy; its weights are cast to the dtype of the file.
        tokenizer: Its tokenizer.
        origin: The start's configuration, written as it was: training switches dropout and the
            generation cache off in the model's own. Its dtype is that of the saved weights.
        target: The folder.

    Raises:
        ResourceError: the disk is full (PT600).
    """
    with _whole_folder(target) as temporary:
        with quiet():
            nn.Module.to(model, dtype=saved_dtype(origin))
            model.save_pretrained(temporary)
        origin.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def save_adapter(
    model: "PeftModel", tokenizer: PreTrainedTokenizerBase, base: str, target: Path
) -> None:
    """Write the trained adapter as peft does, and the tokenizer, whole or not at all.

    Args:
        model: The policy. The adapter is float32 in memory and in the file.
        tokenizer: Its tokenizer.
        base: The model below: an absolute path or a hub name.
        target: The folder.

    Raises:
        ResourceError: the disk is full (PT600).
    """
    model.peft_config[TRAINED].base_model_name_or_path = base
    with _whole_folder(target) as temporary:
        with quiet():
            model.save_pretrained(
                str(temporary), selected_adapters=[TRAINED], save_embedding_layers=False
            )
        (temporary / "README.md").unlink(missing_ok=True)  # peft's card has nothing filled in
        tokenizer.save_pretrained(temporary)


@contextmanager
def _whole_folder(target: Path) -> Generator[Path]:
    """A folder to write to, which takes the target's place when it is complete."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        yield temporary
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_full(target, error) from error
