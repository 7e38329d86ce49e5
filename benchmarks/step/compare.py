"""Two contestants on the same pairs, in turns: pairs per second, memory, losses, ratio."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.step.contestant import Conditions, Contestant
from benchmarks.step.data import by_length
from benchmarks.step.floor import step_flops
from benchmarks.step.shapes import Shape
from benchmarks.step.turns import Batches, DiedError, Step, alternate


@dataclass(frozen=True)
class Measured:
    """What a contestant's steps took."""

    name: str
    pairs_per_second: float
    slowest: float
    fastest: float
    """Pairs per second of its worst and its best step."""
    peak: int
    """Bytes."""
    losses: list[float]
    seconds: list[float]


@dataclass(frozen=True)
class Comparison:
    """A contestant and preftune side by side."""

    shape: str
    data: str
    dtype: str
    lora: bool
    pairs: int
    """In a batch."""
    measured: list[Measured]
    ratio: float
    """How much faster the last contestant is than the first, over the whole schedule."""
    lowest: float
    highest: float
    """The same of single rounds, which differ in their pairs."""
    memory: float
    """The last one's peak as a share of the first one's."""
    loss_difference: float
    """Largest relative difference of two losses of the same step."""
    share: float | None
    """Of the last one's time, what the floor would take."""


def compare(
    contestants: Sequence[Contestant],
    conditions: Conditions,
    shape: Shape,
    data: str,
    batches: Batches,
    *,
    rounds: int,
    rate: float | None = None,
) -> Comparison | dict[str, Any]:
    """Run contestants in turns, all on the first one's order of the pairs.

    Args:
        contestants: The last one is measured against the first.
        conditions: Common to all.
        shape: The model's.
        data: Its name.
        batches: The schedule.
        rounds: Measured steps of each.
        rate: Of the floor, operations per second.

    Returns:
        The comparison, or who died.
    """
    schedule = by_length(batches) if contestants[0].order == "length" else batches
    try:
        steps = _run(contestants, conditions, schedule, rounds, alone=shape.on_gpu)
    except DiedError as died:
        return {"shape": shape.name, "data": data, "dtype": conditions.dtype, "died": str(died)}
    measured = [
        _summary(contestant.name, taken, schedule)
        for contestant, taken in zip(contestants, steps, strict=True)
    ]
    first, last = steps[0], steps[-1]
    ratios = [a.seconds / b.seconds for a, b in zip(first, last, strict=True)]
    share = None
    if rate is not None:
        typical = _by_batch(last)
        flops = [step_flops(shape, schedule[index], lora=conditions.lora) for index in typical]
        share = sum(flops) / rate / sum(typical.values())
    return Comparison(
        shape=shape.name,
        data=data,
        dtype=conditions.dtype,
        lora=conditions.lora,
        pairs=len(batches[0]),
        measured=measured,
        ratio=measured[-1].pairs_per_second / measured[0].pairs_per_second,
        lowest=min(ratios),
        highest=max(ratios),
        memory=measured[-1].peak / measured[0].peak,
        loss_difference=max(
            abs(a.loss / b.loss - 1) for a, b in zip(first, last, strict=True) if b.loss
        ),
        share=share,
    )


def _run(
    contestants: Sequence[Contestant],
    conditions: Conditions,
    schedule: Batches,
    rounds: int,
    *,
    alone: bool,
) -> list[list[Step]]:
    if alone:  # they would not fit into the GPU's memory together
        return [
            *(alternate([one], conditions, [schedule], rounds=rounds)[0] for one in contestants)
        ]
    return alternate(contestants, conditions, [schedule] * len(contestants), rounds=rounds)


def _summary(name: str, steps: Sequence[Step], schedule: Batches) -> Measured:
    typical = _by_batch(steps)
    sizes = {index: len(batch) for index, batch in enumerate(schedule)}
    rates = [sizes[step.batch] / step.seconds for step in steps]
    return Measured(
        name=name,
        pairs_per_second=sum(sizes[index] for index in typical) / sum(typical.values()),
        slowest=min(rates),
        fastest=max(rates),
        peak=max(step.peak for step in steps),
        losses=[step.loss for step in steps],
        seconds=[step.seconds for step in steps],
    )


def _by_batch(steps: Sequence[Step]) -> dict[int, float]:
    """Median seconds of each batch of the schedule."""
    found: dict[int, list[float]] = {}
    for step in steps:
        found.setdefault(step.batch, []).append(step.seconds)
    return {index: median(seconds) for index, seconds in sorted(found.items())}


def as_json(result: "Comparison | dict[str, Any]") -> dict[str, Any]:
    return asdict(result) if isinstance(result, Comparison) else result
