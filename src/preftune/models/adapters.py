"""Low-rank adapters: what is trained beside frozen weights.

An adapter adds `alpha / rank * B A` to the weight of a linear layer; B starts at 0, so that the
policy starts as the very model that it adapts (LoRA, arXiv:2106.09685). DoRA also learns the length
of each row of the sum (arXiv:2402.09353).
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from preftune.errors import ConfigError
from preftune.models.quiet import quiet

if TYPE_CHECKING:
    from peft import PeftModel

Targets = Sequence[str] | Literal["all-linear"]

TRAINED = "default"
"""peft's name of the adapters that are trained."""

MAMBAS = {"falcon_mamba", "jamba", "mamba"}
BYPASSED = "dt_proj"
"""A layer of theirs that the model never calls: it multiplies by the weight below an adapter."""


def add_adapters(
    model: PreTrainedModel,
    *,
    rank: int,
    alpha: float | None = None,
    targets: Targets = "all-linear",
    dora: bool = False,
    seed: int = 0,
) -> "PeftModel":
    """Freeze a model and put trainable adapters into its linear layers.

    W + alpha / rank B A,  A of shape (rank, in) random, B of shape (out, rank) zero

    Args:
        model: A causal language model, changed in place. Its weights may be in any dtype, or in 4
            bits; the adapters are float32 (float64 where the weights are).
        rank: Rows of A and columns of B, > 0.
        alpha: Scale, > 0; by default twice the rank.
        targets: Last parts of the names of the layers; by default all linear layers but the output
            layer.
        dora: Also learn the length of each row.
        seed: Of A, whatever else was drawn before.

    Returns:
        The model with adapters. Without dropout: log-ratios to the reference would be noise.

    Raises:
        ConfigError: a target is no linear layer of the model, the rank is higher than any layer's,
            or peft has no such adapters (PT309).

    References:
        Hu et al. 2021, arXiv:2106.09685, Eq. 3. Liu et al. 2024, arXiv:2402.09353, Eq. 5.
    """
    import peft

    _require_targets(model, targets)
    _require_rank(model, targets, rank)
    settings = peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=cast(Any, 2 * rank if alpha is None else alpha),
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=dora,
        exclude_modules=[BYPASSED] if model.config.model_type in MAMBAS else None,
        lora_dropout=0.0,
    )
    try:
        with quiet(), drawing_from(seed):
            adapted = peft.get_peft_model(model, settings)
    except ValueError as error:
        raise _no_adapters(model, error) from error
    if dora:
        _measure_rows(adapted)
    return cast("PeftModel", adapted.eval())


def skeleton(config: PreTrainedConfig, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """The model of a configuration without memory for its weights: for looking at its layers."""
    with torch.device("meta"), quiet():
        made = cast(Any, AutoModelForCausalLM).from_config(
            config, trust_remote_code=trust_remote_code
        )
    return cast(PreTrainedModel, made)


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Names of the linear layers, the output layer last if it is one."""
    output = cast(object, model.get_output_embeddings())
    modules = cast(Iterator[tuple[str, nn.Module]], model.named_modules())
    found = {name: one for name, one in modules if isinstance(one, nn.Linear | Conv1D)}
    return sorted(found, key=lambda name: found[name] is output)


def has_adapters(model: nn.Module) -> bool:
    """Whether peft has put adapters into it."""
    return hasattr(model, "peft_config")


def describe(model: "PeftModel") -> str:
    """How much is trained: a sentence to say aloud."""
    count, whole = model.get_nb_trainable_parameters()  # knows that 4-bit weights are packed
    layers = sum(hasattr(module, "lora_A") for module in model.modules())
    return f"Adapters in {layers:,} layers: {count:,} trained parameters ({count / whole:.1%})."


def merge(model: "PeftModel", dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The model with its adapters added to the weights, in place.

    Each sum is made in float32 (float64 where the weights are), one layer after the other, and
    rounded once.

    Args:
        model: With adapters.
        dtype: Of the sums; by default each layer's own.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    with quiet(), torch.no_grad():
        for module in list(model.modules()):
            if isinstance(module, BaseTunerLayer):
                base = module.get_base_layer()
                stored = next(base.parameters()).dtype
                base.to(torch.promote_types(stored, torch.float32))
                module.merge()
                base.to(dtype or stored)
        # What is merged already is only unwrapped.
        return cast(PreTrainedModel, cast(Any, model).merge_and_unload())


@torch.no_grad()
def _measure_rows(model: nn.Module) -> None:
    """Start DoRA's lengths as those of the rows, in the adapters' dtype.

    peft 0.21 measures them in the dtype of the weights: in bfloat16 they are off by some 0.2 %, so
    that fresh adapters scale every layer.
    """
    from peft.utils.integrations import dequantize_module_weight

    for module in cast(Iterator[Any], model.modules()):
        for layer in getattr(module, "lora_magnitude_vector", {}).values():
            rows = cast(Tensor, dequantize_module_weight(module.get_base_layer()))
            rows = rows.to(layer.weight.dtype)
            layer.weight.copy_(layer.get_weight_norm(rows, rows.new_zeros(()), 1.0))


def _require_targets(model: PreTrainedModel, targets: Targets) -> None:
    if isinstance(targets, str):
        return
    layers = linear_layers(model)
    known = dict.fromkeys(name.rpartition(".")[2] for name in layers)
    if model.config.model_type in MAMBAS:
        known.pop(BYPASSED, None)
        if any(target.rpartition(".")[2] == BYPASSED for target in targets):
            problem = f"an adapter in `{BYPASSED}` of this {type(model).__name__} has no effect."
            raise _no_target(problem, "name others: ", known)
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            close = get_close_matches(target, list(known), n=1)
            raise _no_target(
                f"`{target}` is no linear layer of this {type(model).__name__}.",
                f"did you mean `{close[0]}`? There are " if close else "name some of ",
                known,
            )
    output = cast(nn.Module | None, model.get_output_embeddings())
    tied = output is not None and model.config.get_text_config().tie_word_embeddings
    if tied and any(layers[-1] == name or layers[-1].endswith(f".{name}") for name in targets):
        raise _no_target(
            f"`{layers[-1]}` shares its weight with the embedding of this {type(model).__name__}.",
            "name others: ",
            [name for name in known if name != layers[-1].rpartition(".")[2]],
        )


def _require_rank(model: PreTrainedModel, targets: Targets, rank: int) -> None:
    """A product of more rows than its smaller side has is of no higher rank, only larger."""
    output = cast(object, model.get_output_embeddings())
    sides: list[int] = []
    for name in linear_layers(model):
        layer = model.get_submodule(name)
        if isinstance(targets, str):
            adapted = layer is not output
        else:
            adapted = any(name == one or name.endswith(f".{one}") for one in targets)
        if adapted:  # a weight in 4 bits has lost its shape
            shape = cast(Tensor, layer.weight).shape
            linear = isinstance(layer, nn.Linear)
            sides.append(min((layer.in_features, layer.out_features) if linear else shape))
    if sides and rank > max(sides):
        raise ConfigError(
            "PT309",
            f"no layer that is adapted has a rank above {max(sides):,}, and {rank:,} is asked for.",
            where="lora.rank",
            why="an adapter of a higher rank would add nothing but memory.",
            fix=f"set a rank of at most {max(sides):,}; 8 to 64 are usual.",
        )


def _no_target(problem: str, fix: str, names: Sequence[str] | dict[str, None]) -> ConfigError:
    return ConfigError(
        "PT309",
        problem,
        where="lora.targets",
        why="an adapter changes the weight of a linear layer.",
        fix=fix + ", ".join(names) + ".",
    )


def _no_adapters(model: PreTrainedModel, error: ValueError) -> ConfigError:
    return ConfigError(
        "PT309",
        f"these adapters can't be put into {type(model).__name__}: {str(error).rstrip('.')}.",
        where="lora",
        why="peft makes them, and knows no such adapters for all of the layers.",
        fix="set lora.dora=false, or name other layers as lora.targets.",
    )


@contextmanager
def drawing_from(seed: int) -> Generator[None]:
    """Adapters are drawn on the CPU, by a seed of their own; what is drawn next stays the same."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
