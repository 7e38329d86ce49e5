"""`plan`: what a run will cost, found out in seconds and without its weights."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import PreTrainedConfig

from preftune.models import load_config, load_tokenizer
from preftune.models.limits import token_limit
from preftune.models.precision import choose_precision
from preftune.records import Silent, Watch
from preftune.training.config import RunSettings
from preftune.training.effects import check_moves
from preftune.training.lora import check_lora
from preftune.training.one_batch import check_one_batch
from preftune.training.plan.cost import Disk, Work, disk_of, work_of
from preftune.training.plan.decision import case_of, decided
from preftune.training.plan.machine import free_memory, matmul_rate, usable
from preftune.training.plan.memory import Case, MemoryPlan, plan_memory
from preftune.training.plan.remedies import Remedy, remedies
from preftune.training.plan.workload import Workload, workload
from preftune.training.prepare import Prepared, prepare, sampler_of
from preftune.training.runfile import Resolved, bind_objective
from preftune.training.save import saved_dtype


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will cost."""

    device: str
    free: int
    """Bytes that the run may take."""
    usable: float
    """Share of it that the predicted peak may take without risk."""
    checkpointing: bool
    """Whether activations are computed again, as asked for or as decided."""
    memory: MemoryPlan
    work: Workload
    disk: Disk
    time: Work
    price: float | None
    """Of an hour, in whatever currency; none if nobody said."""
    remedies: tuple[Remedy, ...]
    """Only where it does not fit."""

    @property
    def fits(self) -> bool:
        """Whether the predicted peak is within the free memory."""
        return self.memory.peak.total <= self.free

    @property
    def cost(self) -> float | None:
        """An estimate, in the currency of the price."""
        return None if self.price is None else self.price * self.time.seconds / 3600


def plan(
    resolved: Resolved,
    watch: Watch | None = None,
    *,
    memory: int | None = None,
    price: float | None = None,
    trust_remote_code: bool = False,
) -> Plan:
    """Foresee a run: memory by part, tokens, steps, disk, time. Loads no weights, writes nothing.

    Args:
        resolved: The configuration.
        watch: Told what is found in the data.
        memory: Bytes that the run may take; by default what is free on this device.
        price: Of an hour of the device.
        trust_remote_code: Run code that comes with the model.

    Raises:
        ConfigError, DataError: as `train`; PT406 where the architecture can't be foreseen.
    """
    settings, objective = resolved.settings, bind_objective(resolved.settings)
    check_lora(settings, trust_remote_code=trust_remote_code, needs_weights=False)
    config = load_config(settings.model, needs_weights=False, trust_remote_code=trust_remote_code)
    tokenizer = load_tokenizer(settings.model, trust_remote_code=trust_remote_code)
    limit = token_limit(settings.rendering.max_tokens, config)
    data = prepare(settings, objective, tokenizer, limit, watch or Silent())
    sampler = sampler_of(settings, data)
    check_moves(settings, sampler.num_steps)
    check_one_batch(settings, sampler, data.train)
    work = workload(settings, data)
    case = case_of(settings, objective, config, work, trust_remote_code=trust_remote_code)
    free = free_memory(case.device) if memory is None else memory
    case, found = decided(case, free)
    checkpointing = case.settings.checkpoint_activations is True
    rate = matmul_rate(case.device, case.precision, *_widths(config))
    cached = objective.reference == "logps" and settings.reference.every is None
    return Plan(
        device=_name(case.device),
        free=free,
        usable=usable(case.device, checkpointing=checkpointing),
        checkpointing=checkpointing,
        memory=found,
        work=work,
        disk=disk_of(found, settings, work, stored=saved_dtype(config).itemsize, cached=cached),
        time=work_of(found, settings, objective, work, rate),
        price=price,
        remedies=() if found.peak.total <= free else _remedies(case, data, found, free),
    )


def _remedies(case: Case, data: Prepared, found: MemoryPlan, free: int) -> tuple[Remedy, ...]:
    def peak_of(settings: RunSettings) -> int:
        precision = choose_precision(settings.precision)
        changed = replace(case, settings=settings, precision=precision)
        sampler = sampler_of(settings, data)
        check_one_batch(settings, sampler, data.train)
        if settings.tokens_per_batch != case.settings.tokens_per_batch:
            work = workload(settings, data)
            changed = replace(changed, groups=work.fullest, num_batches=work.num_batches)
        return plan_memory(changed).peak.total

    longest = max(group.length for group in data.train)
    peak = found.peak.total
    return tuple(
        remedies(
            case.settings, case.objective, longest=longest, peak=peak, limit=free, peak_of=peak_of
        )
    )


def _widths(config: PreTrainedConfig) -> tuple[int, int]:
    """Of the largest matmuls of a layer."""
    text: Any = config.get_text_config()
    hidden = int(text.hidden_size)
    return hidden, int(getattr(text, "intermediate_size", None) or 4 * hidden)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
