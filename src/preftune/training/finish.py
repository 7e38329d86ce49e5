"""The end of a run: the weights as they will be saved are evaluated, then saved."""

from typing import TYPE_CHECKING, cast

import torch

from preftune.models.adapters import has_adapters
from preftune.models.architecture import unwrap
from preftune.models.shared_reference import SharedReference
from preftune.training.checkpoint import Progress
from preftune.training.loop import Loop
from preftune.training.lora import Result, base_name, merge_as
from preftune.training.masters import to_float32
from preftune.training.metrics import MetricLog
from preftune.training.save import round_to, save_adapter, save_model, saved_dtype
from preftune.training.shared import Material

if TYPE_CHECKING:
    from peft import PeftModel


def finish(loop: Loop, progress: Progress, material: Material, saved: Result) -> None:
    """Merge and round as the file will have it, evaluate that, and write `model/`.

    Args:
        loop: The run, after its last step.
        progress: Where it stands.
        material: The start's configuration, and the tokenizer.
        saved: What to write.

    Raises:
        ResourceError: the disk is full (PT600).
    """
    policy, origin, target = loop.model, material.origin, loop.folder.model
    log = MetricLog(loop.folder.metrics, progress.step)
    if saved == "adapter":  # float32, in memory and in the file
        loop.evaluate(log, progress)
        model, base = cast("PeftModel", policy.model), base_name(loop.settings.model)
        save_adapter(model, material.tokenizer, base, target)
        return
    shared = isinstance(loop.stepper.reference, SharedReference)
    if shared:  # while there still are weights without the adapters
        loop.watch.say("Evaluated with the adapters beside the weights, then merged and rounded.")
        loop.evaluate(log, progress)
    if has_adapters(policy.model):
        merge_as(policy, saved_dtype(origin))
    if saved_dtype(origin) != torch.bfloat16:
        to_float32(policy.model, loop.optimizer)  # the file has room for all their bits
    round_to(unwrap(policy.model), saved_dtype(origin))
    if not shared:
        loop.evaluate(log, progress)
    save_model(unwrap(policy.model), material.tokenizer, origin, target)
