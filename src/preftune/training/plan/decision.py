"""`checkpoint_activations: auto`: on where activations would not fit beside everything else."""

from dataclasses import replace
from typing import Any

from transformers import PreTrainedConfig

from preftune.errors import ConfigError
from preftune.models.precision import choose_device, choose_precision
from preftune.objectives.bound import BoundObjective
from preftune.records import Watch
from preftune.training.config import RunSettings
from preftune.training.plan.machine import (
    free_memory,
    give_freed_memory_back,
    held_by_process,
    usable,
)
from preftune.training.plan.memory import LIBRARIES, Case, MemoryPlan, plan_memory
from preftune.training.plan.shapes import depth_of
from preftune.training.plan.workload import Workload, workload
from preftune.training.prepare import Prepared

CERTAIN = 0.25
"""Share of the free memory below which a bound suffices and nothing is counted."""


def case_of(
    settings: RunSettings,
    objective: BoundObjective,
    config: PreTrainedConfig,
    work: Workload,
    *,
    trust_remote_code: bool = False,
) -> Case:
    """The run on this machine's device, as the memory plan sees it."""
    device = choose_device()
    return Case(
        config=config,
        settings=settings,
        objective=objective,
        precision=choose_precision(settings.precision),
        groups=work.fullest,
        num_batches=work.num_batches,
        device=device,
        process=held_by_process() + LIBRARIES if device.type == "cpu" else 0,
        trust_remote_code=trust_remote_code,
    )


def decided(case: Case, free: int) -> tuple[Case, MemoryPlan]:
    """The case with activation checkpointing on or off, and its memory.

    Args:
        case: As the settings say it: `auto` is on where the peak without exceeds a share of `free`.
        free: Bytes that the run may take.

    Raises:
        ConfigError: as `plan_memory`.
    """
    if case.settings.checkpoint_activations != "auto":
        return case, plan_memory(case)
    keeping = with_checkpointing(case, on=False)
    found = plan_memory(keeping)
    if found.peak.total <= usable(case.device) * free:
        return keeping, found
    frugal = with_checkpointing(case, on=True)
    return frugal, plan_memory(frugal)


def with_checkpointing(case: Case, *, on: bool) -> Case:
    """The same case, decided."""
    settings = case.settings.model_copy(update={"checkpoint_activations": on})
    return replace(case, settings=settings)


def decide(
    settings: RunSettings,
    objective: BoundObjective,
    config: PreTrainedConfig,
    data: Prepared,
    watch: Watch,
    *,
    trust_remote_code: bool = False,
) -> RunSettings:
    """The settings of a run with `checkpoint_activations` decided, and said aloud where it is on.

    Small runs on large machines are not planned: a bound shows that they fit.
    """
    if settings.checkpoint_activations == "auto":
        settings = _decided_now(settings, objective, config, data, watch, trust_remote_code)
    if settings.checkpoint_activations:
        give_freed_memory_back(choose_device())
    return settings


def _decided_now(  # noqa: PLR0917
    settings: RunSettings,
    objective: BoundObjective,
    config: PreTrainedConfig,
    data: Prepared,
    watch: Watch,
    trust_remote_code: bool,
) -> RunSettings:
    off = settings.model_copy(update={"checkpoint_activations": False})
    free = free_memory(choose_device())
    if _at_most(config, data, settings) < CERTAIN * free:
        return off
    work = workload(settings, data)
    case = case_of(settings, objective, config, work, trust_remote_code=trust_remote_code)
    try:
        case, found = decided(case, free)
    except ConfigError as error:
        if error.code != "PT406":
            raise
        watch.say(f"Activations are kept: {error.problem}")
        return off
    if case.settings.checkpoint_activations:
        watch.say(
            "Activation checkpointing is on: without it the run would need more than "
            f"{usable(case.device):.0%} of the {free / 2**30:.1f} GiB that are free; with it about "
            f"{found.peak.total / 2**30:.1f} GiB. checkpoint_activations=false keeps it off."
        )
    return case.settings


def _at_most(config: PreTrainedConfig, data: Prepared, settings: RunSettings) -> int:
    """Bytes that the run can't reach: generous for any architecture with plain layers."""
    text: Any = config.get_text_config()
    hidden, vocabulary = int(text.hidden_size), int(text.vocab_size)
    wide = int(getattr(text, "intermediate_size", None) or 4 * hidden)
    wide *= int(getattr(text, "num_experts", None) or getattr(text, "num_local_experts", None) or 1)
    tokens = max(settings.tokens_per_batch, *(group.length for group in data.train))
    layer = 8 * hidden * hidden + 4 * hidden * wide
    weights = 2 * vocabulary * hidden + depth_of(config) * layer
    return 20 * weights + 4 * tokens * depth_of(config) * (64 * hidden + 16 * wide) + 2**29
