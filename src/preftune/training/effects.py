"""Every option has an effect: one that the objective or another option makes idle is an error."""

from preftune.errors import ConfigError
from preftune.errors.extras import require_extra
from preftune.objectives.bound import BoundObjective
from preftune.sources.conversions import CONVERSIONS, check_name
from preftune.training.config import RunSettings


def check_effects(settings: RunSettings, objective: BoundObjective) -> None:
    """Refuse options that would do nothing.

    Raises:
        ConfigError: PT303, an idle option; PT311, two that can't be had together; PT301, an
            unknown conversion.
    """
    data = settings.data
    _check_lora(settings)
    _check_together(settings)
    if settings.reference.every is not None and objective.reference == "none":
        raise _idle(
            "reference.every",
            f"`{objective.name}` has no reference that could move.",
            "leave it out, or choose an objective with a reference.",
        )
    if data.match_prompts and "thumbs" not in objective.data:
        raise _idle(
            "data.match_prompts",
            f"it weighs thumbs, and `{objective.name}` does not learn from them.",
            "leave it out, or choose bco or kto.",
        )
    if data.minimum_gap is not None and data.convert is None:
        raise _idle(
            "data.minimum_gap",
            "it is only used by a conversion, and none is named.",
            "name one with --convert, or leave it out.",
        )
    if data.convert is not None:
        _check_conversion(data.convert, objective)


def _check_lora(settings: RunSettings) -> None:
    lora = settings.lora
    if lora is None or lora.quantize is None:
        return
    require_extra("bitsandbytes", "qlora", "lora.quantize")
    if settings.weights == "float32":
        raise _idle(
            "weights",
            f"the weights are kept in 4 bits (lora.quantize is {lora.quantize}).",
            "leave one of the two out.",
        )
    if lora.save == "merged":
        raise _idle(
            "lora.save",
            f"adapters trained on {lora.quantize} weights are not exact on those of the file, and "
            "the sum of both is no model of 4 bits.",
            "leave lora.save out: the adapter is saved.",
        )


def _check_together(settings: RunSettings) -> None:
    optimizer = settings.optimizer
    if optimizer.in_backward and optimizer.max_grad_norm is not None:
        raise ConfigError(
            "PT311",
            f"gradients are clipped to a norm of {optimizer.max_grad_norm:g}.",
            where="optimizer.in_backward",
            why="clipping needs every gradient before the first weight moves.",
            fix="set optimizer.max_grad_norm=null, or leave optimizer.in_backward out.",
        )
    if settings.weights == "bfloat16" and settings.precision == "float32":
        raise not_wider()


def not_wider() -> ConfigError:
    """The refusal of bfloat16 weights under float32 matmuls."""
    return ConfigError(
        "PT311",
        "the matmuls run in float32.",
        where="weights",
        why="bfloat16 weights are multiplied in bfloat16, whatever precision says.",
        fix="set precision=bfloat16 too, or leave weights out.",
    )


def check_moves(settings: RunSettings, num_steps: int) -> None:
    """Refuse a reference that would first move when the run is over.

    Raises:
        ConfigError: PT303.
    """
    every = settings.reference.every
    if every is not None and every >= num_steps:
        raise _idle(
            "reference.every",
            f"the reference would not move before step {every:,}, and the run has {num_steps:,}.",
            "give fewer steps, or leave it out.",
        )


def _check_conversion(name: str, objective: BoundObjective) -> None:
    check_name(name)
    makes = CONVERSIONS[name].makes
    if not set(makes) & set(objective.data):
        raise _idle(
            "data.convert",
            f"`{name}` makes {' and '.join(makes)}, and `{objective.name}` learns from "
            f"{' and '.join(objective.data)}.",
            "leave it out, or choose another objective (`preftune objectives ls`).",
        )


def _idle(where: str, problem: str, fix: str) -> ConfigError:
    return ConfigError(
        "PT303",
        problem,
        why="a setting without effect would make the run something else than it says.",
        fix=fix,
        where=where,
    )
