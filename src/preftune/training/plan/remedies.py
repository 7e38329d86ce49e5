"""What would make a run fit: each remedy with its own predicted peak and its price."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from preftune.errors import ConfigError
from preftune.objectives.bound import BoundObjective
from preftune.training.config import RunSettings
from preftune.training.effects import check_effects

Change = tuple[dict[str, Any], str]
"""Settings as for `--set`, and what they cost beside."""

MILD: list[Change] = [
    ({"checkpoint_activations": True}, "about a third more work; the result is the same"),
    ({"optimizer.name": "adamw-8bit"}, "moments rounded to 8 bits"),
]
STRONG: list[Change] = [
    ({"lora.rank": 16}, "adapters are trained instead of all weights"),
    ({"lora.quantize": "nf4"}, "adapters over weights rounded to 4 bits (needs preftune[qlora])"),
]
IN_BACKWARD: Change = (
    {"optimizer.in_backward": True, "optimizer.max_grad_norm": None},
    "gradients are not clipped",
)


@dataclass(frozen=True, slots=True)
class Remedy:
    """Settings that would lower the peak."""

    settings: dict[str, Any]
    """As for `--set`."""
    price: str
    """What it costs beside."""
    peak: int
    """Bytes, predicted."""
    saved: int
    """Bytes less than the run as it stands."""


def remedies(
    settings: RunSettings,
    objective: BoundObjective,
    *,
    longest: int,
    peak: int,
    limit: int,
    peak_of: Callable[[RunSettings], int],
) -> list[Remedy]:
    """Ranked by what each saves alone; behind them mild ones together, where they suffice.

    Strong ones are put together with them only where nothing fits alone.

    Args:
        settings: Of the run, with activation checkpointing decided.
        objective: Of the run.
        longest: Tokens of the longest group: no micro-batch is smaller.
        peak: Bytes of the run as it stands.
        limit: Bytes that there are.
        peak_of: Predicts the bytes of other settings.
    """
    single: list[Remedy] = []
    for change in _candidates(settings, longest):
        found = _remedy([change], settings, objective, peak, peak_of)
        single += [found] if found else []
    ranked = sorted((one for one in single if one.saved > 0), key=lambda one: -one.saved)
    mildest = list(_mild(settings, longest))
    if all(one.peak > limit for one in ranked):
        mildest += _strong(settings)
    for number in range(2, len(mildest) + 1):
        together = _remedy(mildest[:number], settings, objective, peak, peak_of)
        if together and together.peak <= limit:
            return [*ranked, together]
    return ranked


def with_settings(settings: RunSettings, changes: dict[str, Any]) -> RunSettings:
    """The settings with dotted keys changed."""
    tree = settings.model_dump()
    for key, value in changes.items():
        *parents, last = key.split(".")
        inner = tree
        for parent in parents:
            inner[parent] = inner.get(parent) or {}
            inner = cast(dict[str, Any], inner[parent])
        inner[last] = value
    return RunSettings.model_validate(tree)


def _candidates(settings: RunSettings, longest: int) -> Iterator[Change]:
    yield from _mild(settings, longest)
    if not settings.optimizer.in_backward:
        yield IN_BACKWARD
    yield from _strong(settings)


def _mild(settings: RunSettings, longest: int) -> Iterator[Change]:
    """What changes the result by rounding at most."""
    if settings.checkpoint_activations is not True:
        yield MILD[0]
    quarter = max(longest, settings.tokens_per_batch // 4)
    if quarter < settings.tokens_per_batch:
        yield {"tokens_per_batch": quarter}, "smaller micro-batches: slower, the same result"
    if settings.optimizer.name == "adamw":
        yield MILD[1]
    if "float32" in {settings.precision, settings.weights}:
        both = {"precision": "bfloat16", "weights": "bfloat16"}
        yield both, "bfloat16 matmuls, with their rounding"


def _strong(settings: RunSettings) -> Iterator[Change]:
    if settings.lora is None:
        yield STRONG[0]
    if settings.lora is None or settings.lora.quantize is None:
        change = dict(STRONG[1][0]) if settings.lora else {**STRONG[0][0], **STRONG[1][0]}
        yield change, STRONG[1][1]


def _remedy(
    changes: list[Change],
    settings: RunSettings,
    objective: BoundObjective,
    peak: int,
    peak_of: Callable[[RunSettings], int],
) -> Remedy | None:
    """None where the settings can't be had in this run."""
    merged: dict[str, Any] = {}
    for change, _ in changes:
        merged |= change
    try:
        changed = with_settings(settings, merged)
        check_effects(changed, objective)
    except ConfigError as error:
        if error.code != "PT310":  # a package that can be installed
            return None
        changed = with_settings(settings, merged)
    try:
        found = peak_of(changed)
    except ConfigError:
        return None
    return Remedy(merged, "; ".join(price for _, price in changes), found, peak - found)
