"""Low-rank adapters: what is trained beside frozen weights, and the model below them.

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
from torch.nn import Parameter
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from preftune.batching import Batch
from preftune.errors import ConfigError
from preftune.models.quiet import quiet
from preftune.models.root import LogProbModel
from preftune.models.vocabulary import LazyLogits
from preftune.objectives import LogProbs

if TYPE_CHECKING:
    from peft import PeftModel

Targets = Sequence[str] | Literal["all-linear"]

TRAINED = "default"
FROZEN = "reference"
"""Names of the adapters that are trained, and of those of a reference that moves."""


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
        ConfigError: a target is no linear layer of the model, or peft has no such adapters (PT309).

    References:
        Hu et al. 2021, arXiv:2106.09685, Eq. 3. Liu et al. 2024, arXiv:2402.09353, Eq. 5.
    """
    import peft

    _require_targets(model, targets)
    settings = peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=cast(Any, 2 * rank if alpha is None else alpha),
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=dora,
        lora_dropout=0.0,
    )
    try:
        with quiet(), _drawing_from(seed):
            adapted = peft.get_peft_model(model, settings)
    except ValueError as error:
        raise _no_adapters(model, error) from error
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
    trained = [p for p in model.parameters() if p.requires_grad]
    count, whole = sum(p.numel() for p in trained), sum(p.numel() for p in model.parameters())
    layers = sum(hasattr(module, "lora_A") for module in model.modules())
    return f"Adapters in {layers:,} layers: {count:,} trained parameters ({count / whole:.1%})."


def merge(model: "PeftModel") -> PreTrainedModel:
    """The model with its adapters added to the weights, in place.

    Each sum is made in float32 (float64 where the weights are) and rounded once to its weight's
    dtype.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    with quiet(), torch.no_grad():
        for module in list(model.modules()):
            if isinstance(module, BaseTunerLayer):
                base = module.get_base_layer()
                stored = next(base.parameters()).dtype
                base.to(torch.promote_types(stored, torch.float32))
                module.merge()
                base.to(stored)
        # What is merged already is only unwrapped.
        return cast(PreTrainedModel, cast(Any, model).merge_and_unload())


class SharedReference(LogProbModel):
    """A frozen reference made of the policy's own weights: nothing but adapters is held twice.

    Args:
        policy: A model with adapters, at the start of its training.
        moving: The reference will follow the policy, so it gets adapters of its own, equal to the
            policy's for now; else it is the policy with its adapters off.

    Its parameters are only those of its own adapters: what moves, and what a checkpoint holds.
    """

    def __init__(self, policy: LogProbModel, *, moving: bool) -> None:
        super().__init__(policy.model)
        self._moving = moving
        if moving:
            _add_frozen_copy(cast("PeftModel", policy.model))

    def forward(self, batch: Batch, **settings: Any) -> LogProbs:
        """As `LogProbModel`, without gradient."""
        with torch.no_grad(), self._in_force():
            return super().forward(batch, **settings)

    def predictions(self, batch: Batch) -> LazyLogits | Tensor:
        """As `LogProbModel`."""
        with self._in_force():
            return super().predictions(batch)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Those of the reference alone: the rest is the policy's."""
        every = super().named_parameters(prefix, recurse, remove_duplicate)
        return ((name, p) for name, p in every if FROZEN in name.split("."))

    @contextmanager
    def _in_force(self) -> Generator[None]:
        """The reference's adapters, or none, for this while only.

        Activation checkpointing runs the policy's forward again in its backward pass.
        """
        layers = cast(Any, self.model).base_model
        if self._moving:
            layers.set_adapter(FROZEN, inference_mode=True)
        else:
            layers.disable_adapter_layers()
        try:
            yield
        finally:
            if self._moving:
                layers.set_adapter(TRAINED)
            else:
                layers.enable_adapter_layers()


def _add_frozen_copy(model: "PeftModel") -> None:
    """A second set of adapters, equal to the first."""
    with quiet(), _drawing_from(0):
        model.add_adapter(FROZEN, model.peft_config[TRAINED])
    cast(Any, model).base_model.set_adapter(TRAINED)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in own.items():
            parts = name.split(".")
            if FROZEN in parts:
                same = ".".join(TRAINED if part == FROZEN else part for part in parts)
                parameter.copy_(own[same])
                parameter.requires_grad_(False)


def _require_targets(model: PreTrainedModel, targets: Targets) -> None:
    if isinstance(targets, str):
        return
    layers = linear_layers(model)
    known = dict.fromkeys(name.rpartition(".")[2] for name in layers)
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
def _drawing_from(seed: int) -> Generator[None]:
    """Adapters are drawn on the CPU, by a seed of their own; what is drawn next stays the same."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
