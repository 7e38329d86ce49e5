"""What a run takes beside memory: disk, time, money."""

from dataclasses import dataclass

from preftune.objectives.bound import BoundObjective
from preftune.training.checkpoint import KEPT
from preftune.training.config import RunSettings
from preftune.training.lora import result_of
from preftune.training.plan.memory import MemoryPlan
from preftune.training.plan.workload import Workload

EFFICIENCY = 0.5
"""Share of the matmul rate that a whole step reaches: half, measured on CPUs at 135M parameters
(docs/performance.md). Small models reach less."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes."""

    checkpoint: int
    """One of them."""
    checkpoints: int
    """Those kept, and the one that is being written."""
    model: int
    reference_cache: int
    """Written once, used by every later run with the same start and data."""

    @property
    def total(self) -> int:
        """Bytes at most."""
        return self.checkpoints + self.model + self.reference_cache


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations of the run, and how fast they may run."""

    training: float
    reference: float
    """Scoring the reference once, before training."""
    evaluation: float
    rate: float
    """Of the device's matmuls, measured, per second."""

    @property
    def seconds(self) -> float:
        """An estimate: all of it at `EFFICIENCY` of the rate."""
        return (self.training + self.reference + self.evaluation) / (EFFICIENCY * self.rate)


def disk_of(
    memory: MemoryPlan, settings: RunSettings, work: Workload, *, stored: int, cached: bool
) -> Disk:
    """What the run writes.

    Args:
        memory: Counts of weights.
        settings: Of the run.
        work: Its tokens.
        stored: Bytes of a number in the saved model.
        cached: Whether the reference is scored into the cache.
    """
    moving = memory.trained_bytes if settings.reference.every is not None else 0
    checkpoint = memory.trained_bytes + memory.optimizer_bytes + moving
    adapter = result_of(settings) == "adapter"
    model = memory.trained_bytes if adapter else memory.parameters * stored
    cache = 4 * work.response_tokens if cached else 0
    return Disk(checkpoint, (KEPT + 1) * checkpoint, model, cache)


def work_of(
    memory: MemoryPlan,
    settings: RunSettings,
    objective: BoundObjective,
    work: Workload,
    rate: float,
) -> Work:
    """The run's operations, from those of its fullest micro-batch: each token as much as there."""
    tokens = sum(group.length for group in work.fullest)
    forward, whole = memory.forward_flops / tokens, memory.flops / tokens
    live = settings.reference.every is not None or objective.reference == "distribution"
    if objective.whole_step and (work.micro_batches > work.steps or objective.mismatched):
        whole += forward  # every micro-batch is scored once more, before the step
    if live:
        whole += forward
    return Work(
        training=whole * work.tokens,
        reference=forward * work.reference_tokens if _is_cached(objective, live) else 0.0,
        evaluation=forward * work.held_out_tokens * evaluations(settings, work),
        rate=rate,
    )


def evaluations(settings: RunSettings, work: Workload) -> int:
    """How often the held-out groups are evaluated."""
    every = settings.evaluate_every or max(1, -(-work.steps // 4))
    return 1 + -(-work.steps // every)


def _is_cached(objective: BoundObjective, live: bool) -> bool:
    return objective.reference != "none" and not live
